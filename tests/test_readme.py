"""What the README shows is what the tests run."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_its_python_is_that_of_the_examples():
    examples = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.py"))]
    assert len(BLOCKS) == 2
    for block in BLOCKS:
        # Lines of a function stand in the README without its indentation.
        assert any(block in example or textwrap.indent(block, "    ") in example for example in examples), block


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_its_links_lead_somewhere(link):
    assert link.startswith("https://") or (ROOT / link).exists()
