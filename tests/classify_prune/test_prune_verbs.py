"""`prune`, `export` and `benchmark` of a tiny trained classifier."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from classify_prune import cli
from classify_prune.loading import load_classifier
from classify_prune.models import Classifier

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eager_module")]


@pytest.fixture(scope="module")
def trained(images_h5: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pruning") / "run"
    words = ["--network", "resnet18", "--widths", "8", "8", "8", "8", "--epochs", "2", "--batch-size", "12"]
    assert cli.main(["train", "--data", str(images_h5), "--out", str(out), *words]) == 0
    return out


def test_units_go_and_the_page_says_what_is_left(trained: Path, images_h5: Path, tmp_path: Path) -> None:
    out = tmp_path / "pruned"
    words = ["prune", "--model", str(trained), "--data", str(images_h5), "--out", str(out), "--sparsity", ".5"]
    assert cli.main([*words, "--epochs", "1", "--batch-size", "12"]) == 0
    result = json.loads((out / "prune.json").read_text())
    (level,) = result["levels"]
    assert {width for layer, width in level["widths"].items() if layer.endswith("conv")} == {4}
    assert load_classifier(out / "distinctiveness-50-0").widths == (4,) * 12
    assert level["runs"][0]["parameters"] < result["start"]["parameters"] == result["dense"][0]["parameters"]
    assert "Units left" in (out / "report.html").read_text()


def test_the_largest_threshold_leaves_a_unit_of_each_two(trained: Path, images_h5: Path, tmp_path: Path) -> None:
    words = ["--model", str(trained), "--data", str(images_h5), "--out", str(tmp_path / "pruned")]
    assert cli.main(["prune", *words, "--angles", "180", "--epochs", "0"]) == 0
    (level,) = json.loads((tmp_path / "pruned" / "prune.json").read_text())["levels"]
    # Units that never fire go besides.
    assert {width for layer, width in level["widths"].items() if layer.endswith("conv")} <= {1, 2, 3, 4}


def test_magnitude_without_fine_tuning_prunes_exactly(trained: Path, images_h5: Path, tmp_path: Path) -> None:
    out = tmp_path / "masked"
    words = ["--model", str(trained), "--data", str(images_h5), "--out", str(out), "--method", "magnitude"]
    assert cli.main(["prune", *words, "--sparsity", ".5", "--epochs", "0"]) == 0
    run = json.loads((out / "prune.json").read_text())["levels"][0]["runs"][0]
    model = load_classifier(out / "magnitude-50-0")
    kernels = [layer.kernel.numpy() for layer in model.layers if layer.name.endswith("conv")]
    zeros = sum(int((kernel == 0).sum()) for kernel in kernels)
    assert zeros == round(0.5 * sum(kernel.size for kernel in kernels))
    assert run["nonzero"] < run["parameters"]


def test_export_is_read_back(trained: Path, images_h5: Path, tmp_path: Path) -> None:
    words = ["--model", str(trained), "--out", str(tmp_path / "files"), "--data", str(images_h5)]
    assert cli.main(["export", *words, "--json", str(tmp_path / "R.json")]) == 0
    told = json.loads((tmp_path / "R.json").read_text())["saved_model"]
    assert told["max_difference"] < 1e-4 and told["class_names"] == ["across", "down", "plain"]
    import tensorflow as tf

    function = tf.saved_model.load(told["path"]).signatures["serving_default"]
    answer = function(tf.zeros([2, 24, 30, 3]))
    assert answer["probabilities"].numpy().sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ["--angles", "10", "--sparsity", ".5"],
        ["--angles", "10", "--method", "magnitude"],
        ["--sparsity", "1.5"],
        ["--seeds", "0", "0"],
        ["--splits", "other"],
    ],
)
def test_bad_options_are_one_line(
    words: list[str], trained: Path, images_h5: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pruned"
    assert cli.main(["prune", "--model", str(trained), "--data", str(images_h5), "--out", str(out), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not out.exists()


def test_what_a_training_would_refuse_leaves_no_folder(
    features_h5: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Classifier("mlp", 4, (6,), (8,), 0.0, None, None, ("north", "east", "south", "west"))
    model.save(tmp_path / "mlp.keras")
    words = ["--model", str(tmp_path / "mlp.keras"), "--data", str(features_h5), "--out", str(tmp_path / "pruned")]
    assert cli.main(["prune", *words, "--augment", "{flip: .5}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--augment for" in error and not (tmp_path / "pruned").exists()


def test_benchmark_of_keras(trained: Path, tmp_path: Path) -> None:
    words = ["--model", str(trained), "--runtimes", "keras", "--rounds", "1", "--calls", "1"]
    assert cli.main(["benchmark", *words, "--json", str(tmp_path / "R.json")]) == 0
    assert json.loads((tmp_path / "R.json").read_text())["rows"][0]["milliseconds"] > 0


def test_formats_that_do_not_exist_are_one_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--model", str(trained), "--out", str(tmp_path / "files"), "--formats", "floppy"]
    assert cli.main(["export", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "files").exists()
