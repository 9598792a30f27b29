"""The demo, shrunk: everything it promises lies there, says that it is synthetic, and is not made twice."""

import json

import pytest

from classify_prune import demo as demo_module
from classify_prune.cli import main
from classify_prune.loading import load_classifier
from data_tools.store import open_store
from data_tools.vehiclex_labels import TYPES

pytestmark = pytest.mark.slow
WORDS = ["--per-type", "10", "--epochs", "1", "--size", "32"]
SMALLER = {"WIDTHS": (2, 2, 4, 4), "SPARSITY": (0.5,), "TUNE_EPOCHS": 1, "FORMATS": ("saved_model",)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, what was printed) of one demo with small images and networks."""
    out = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALLER.items():
            patch.setattr(demo_module, name, value)
        printed: list[str] = []
        patch.setattr(demo_module, "_say", printed.append)
        assert main(["demo", "--out", str(out), *WORDS]) == 0
    return out, "\n".join(printed)


def test_everything_is_there(finished):
    out, printed = finished
    result = json.loads((out / "demo.json").read_text())
    assert result["synthetic"] is True and result["report"] == str(out / "report.html")
    assert "110 synthetic vehicles, not real images" in printed and "5/5 exporting" in printed
    store = open_store(out / "vehicles.h5", "classification")
    assert "synthetic" in store.source and store.class_names == TYPES and store.input_shape == (32, 32, 3)
    # Ten images of each type, 60, 20 and 20 % of each vehicle's.
    assert [len(store[split]) for split in ("train", "val", "test")] == [66, 22, 22]
    assert result["evaluation"]["images"] == 22 and 0 <= result["evaluation"]["accuracy"] <= 1
    (level,) = result["pruning"]["levels"]
    dense = load_classifier(out / "run")
    pruned = load_classifier(out / "pruned/distinctiveness-50-0")
    assert dense.widths[:1] == (2,) and pruned.count_params() < dense.count_params()
    assert {name: level["widths"][name] for name in ("stem_conv", "logits")} == {"stem_conv": 1, "logits": 11}
    assert set(result["export"]) == {"dense", "pruned"}
    for name, formats in result["export"].items():
        assert formats["saved_model"]["max_difference"] <= 1e-4
        assert (out / "exported" / name / "saved_model/saved_model.pb").is_file()


def test_the_page_stands_alone_and_says_synthetic(finished):
    out, _ = finished
    page = (out / "report.html").read_text()
    for told in ("synthetic vehicles that the program\nrendered itself, not real images", "What the images of each"):
        assert told in page or told.replace("\n", " ") in page, told
    assert "http" not in page.replace("http://www.w3.org", "") and page.count("<figure>") == 3
    told = demo_module.table(json.loads((out / "demo.json").read_text()))
    assert f"open {out / 'report.html'}" in told and "50 % of the units removed" in told


def test_run_again_it_renders_trains_and_prunes_nothing(finished, monkeypatch, capsys):
    out, _ = finished
    before = json.loads((out / "demo.json").read_text())
    names = ("vehicles.h5", "run/best.keras", "run/last.keras", "pruned/distinctiveness-50-0/best.keras")
    kept = {name: (out / name).stat().st_mtime_ns for name in names}
    for name, value in SMALLER.items():
        monkeypatch.setattr(demo_module, name, value)
    monkeypatch.setattr(demo_module.studio_folder, "write", lambda *_: pytest.fail("rendered again"))
    monkeypatch.setattr(demo_module, "DataCompiler", lambda *_: pytest.fail("compiled again"))
    monkeypatch.setattr(demo_module.export, "export", lambda _: before["export"]["dense"])
    assert main(["demo", "--out", str(out), *WORDS]) == 0
    after = json.loads((out / "demo.json").read_text())
    assert after["evaluation"] == before["evaluation"] and after["pruning"]["levels"] == before["pruning"]["levels"]
    assert {name: (out / name).stat().st_mtime_ns for name in names} == kept
    assert main(["demo", "--out", str(out), *WORDS, "--epochs", "2"]) == 2
    assert "epochs: 1 there, 2 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--size", "16"], "at least 32"), (["--per-type", "3"], "at least 10"), (["--epochs", "0"], "at least 1")],
)
def test_wrong_options_write_nothing(tmp_path, capsys, words, told):
    assert main(["demo", "--out", str(tmp_path / "run"), *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and told in captured.err and not (tmp_path / "run").exists()
