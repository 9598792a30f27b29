"""What the tests of prunings share."""

from __future__ import annotations

import dataclasses

import pytest

from yolo_prune.pruning.verb import METHODS


@pytest.fixture
def unseen(monkeypatch) -> None:
    """No page is written: the tests that ask for this do not look at it."""
    for name, method in METHODS.items():
        quiet = dataclasses.replace(method, write=lambda options, *_: options.out / "report.html")
        monkeypatch.setitem(METHODS, name, quiet)
