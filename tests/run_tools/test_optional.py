"""Packages of extras, there and missing."""

import sys

import pytest

from run_tools.errors import InputError
from run_tools.optional import missing, require


def test_what_is_there_is_imported():
    assert missing(["json", "sys"]) == [] and require("json.decoder", "export").JSONDecoder


def test_what_is_missing_is_one_line_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "json", None)
    assert missing(["sys", "json"]) == ["json"]
    with pytest.raises(InputError, match=r"no module json; expected the extra 'export'; .*'prune-vision\[export\]'"):
        require("json.decoder", "export")
