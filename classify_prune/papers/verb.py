"""`classify-prune paper NNN`: compile what has to be compiled, run the paper, write one page."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from classify_prune.papers import data as given
from classify_prune.papers import pages, registry
from data_tools.splits import SPLIT_NAMES
from data_tools.store import open_store
from run_tools import config as configs
from run_tools import files
from run_tools.errors import InputError
from run_tools.folder import RunFolder

RESULT = "result.json"
MAY_CHANGE = ("out", "seeds")
"""Options that may differ when a folder is gone on with: more seeds are more runs beside those that are done."""
BEGUN = ("config.yaml", "environment.json", "run.lock", given.COMPILED)
"""What the names in a folder begin with before the paper itself is run; a conversion that broke off has its own."""


def paper(options: Any) -> dict[str, Any]:
    """Run `paper NNN`; one that was cut off goes on where it stopped.

    Args:
        options: an instance of `registry.options_of`.

    Returns:
        `{"paper", "title", "quick", "data": what `data.facts` returned, "settings", "seconds", "report"}` and what the
        paper's `run` returned; also written to `OUT/result.json`.

    Raises:
        InputError: for data, settings or a folder that do not fit; a folder that was made for them is gone again.
    """
    out = Path(options.out)
    if not Path(options.data).exists():
        # Before the folder is made.
        raise InputError(f"{options.data}: no such file or folder", "a compiled file or a folder", "check --data")
    new = not out.exists()
    try:
        with RunFolder(out).create(options, ignore=MAY_CHANGE) as folder:
            folder.renew(options, MAY_CHANGE)
            return _run(options, folder)
    except InputError:
        if new:
            _forget(out)
        raise


def _run(options: Any, folder: RunFolder) -> dict[str, Any]:
    """What `paper` does once the folder is its own."""
    begun = time.perf_counter()
    settings, out, published = registry.settings_of(options), folder.root, registry.part(options.paper, "published")
    file = given.compiled(Path(options.data), out, getattr(settings, "stored", None))
    store = open_store(file, "classification")
    for split in SPLIT_NAMES:
        _ = store[split]  # all papers judge on all three; what is missing is told before hours of making vectors
    found = registry.part(options.paper, "run").run(file, out, settings)
    result: dict[str, Any] = {
        "paper": options.paper,
        "title": published.TITLE,
        "quick": options.quick,
        "data": given.facts(file, found.get("task") or getattr(settings, "task", "type"), found.get("classes")),
        "settings": configs.to_dict(settings),
        "seconds": round(time.perf_counter() - begun, 1),
        **found,
    }
    result["claims"] = registry.part(options.paper, "claims").claims(result)
    report = pages.begin(result, published.TITLE)
    registry.part(options.paper, "page").page(report, result)
    pages.end(report, result, published.READINGS)
    result["report"] = str(pages.write(report, out))
    files.write_json(folder.path(RESULT), result)
    return result


def _forget(out: Path) -> None:
    """Removes a folder in which no training has begun, so that the corrected command can use its name."""
    if out.is_dir() and all(path.name.startswith(BEGUN) for path in out.iterdir()):
        shutil.rmtree(out)


def table(result: dict[str, Any]) -> str:
    """The result of `paper NNN` for people."""
    data = result["data"]
    lines = [pages.title_of(result["paper"], result["title"])]
    if result["quick"]:
        lines.append(pages.QUICK)
    lines += [f"data: {data['source']}, {data['file']}", "", registry.part(result["paper"], "page").text(result), ""]
    return "\n".join([*lines, f"{result['seconds'] / 60:.1f} min now; open {result['report']}"])
