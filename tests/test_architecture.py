"""The packages import downwards only, and the light ones stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import data_tools

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT: dict[str, set[str]] = {
    "run_tools": set(),
    "data_tools": {"run_tools"},
    "prune_tools": {"run_tools"},
    "yolo_prune": {"run_tools", "data_tools", "prune_tools"},
    "classify_prune": {"run_tools", "data_tools", "prune_tools"},
}
FORBIDDEN_EVERYWHERE = {"tests", "benchmarks"}


def imported_packages(source: str) -> set[str]:
    """Top-level packages a module names in any import, wherever it stands, "module:function" texts included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module, colon, name = node.value.partition(":")
            if colon and name.isidentifier() and all(part.isidentifier() for part in module.split(".")):
                found.add(module.split(".")[0])
    return found


def violations(root: Path) -> list[str]:
    """One line for each import that points up or sideways in the packages below `root`."""
    lines = []
    for package, allowed in MAY_IMPORT.items():
        forbidden = (set(MAY_IMPORT) | FORBIDDEN_EVERYWHERE) - allowed - {package}
        for path in sorted((root / package).rglob("*.py")):
            bad = imported_packages(path.read_text(encoding="utf-8")) & forbidden
            lines += [f"{path.relative_to(root)} imports {name}" for name in sorted(bad)]
    return lines


def test_imports_point_down() -> None:
    assert violations(ROOT) == []


def test_every_package_is_looked_at() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - FORBIDDEN_EVERYWHERE
    assert packages <= set(MAY_IMPORT)
    assert set(MAY_IMPORT) == packages


@pytest.mark.parametrize(
    ("package", "source", "named"),
    [
        ("run_tools", "import data_tools.boxes", "data_tools"),  # up
        ("data_tools", "from prune_tools import masks", "prune_tools"),  # sideways
        ("prune_tools", "def f():\n    import yolo_prune.detector as d\n    return d", "yolo_prune"),  # up, hidden
        ("data_tools", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import yolo_prune", "yolo_prune"),
        ("yolo_prune", "from classify_prune.models import lenet5", "classify_prune"),  # sideways
        ("data_tools", "VERB = 'yolo_prune.trainer:train'", "yolo_prune"),  # up, by address
        ("yolo_prune", "import tests.conftest", "tests"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, package: str, source: str, named: str) -> None:
    module = tmp_path / package / "inner" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text(source)
    assert violations(tmp_path) == [f"{module.relative_to(tmp_path)} imports {named}"]


def test_right_arrows_pass(tmp_path: Path) -> None:
    module = tmp_path / "yolo_prune" / "module.py"
    module.parent.mkdir()
    module.write_text(
        '"""data_tools: words, no import."""\n'
        "import numpy\nimport yolo_prune.decode\nfrom . import loss\n"
        "from data_tools import boxes\nfrom prune_tools.masks import hold\nimport run_tools.cli\n"
    )
    assert violations(tmp_path) == []


def test_everything_that_data_tools_offers_is_there() -> None:
    offered: dict[str, object] = {}
    exec("from data_tools import *", offered)  # `__all__` and the table of lazy names are two lists
    assert {"batches", "Yad2kData"} <= set(offered)
    assert set(data_tools.__all__) == set(data_tools._HOMES)


@pytest.mark.parametrize(
    "module", ["data_tools", "data_tools.cli", "yolo_prune.cli", "classify_prune.cli", "run_tools.cli"]
)
def test_light_modules_load_no_framework(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'matplotlib', 'tensorboard'} & set(sys.modules)\n"
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
