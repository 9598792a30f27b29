"""`classify-prune` as people call it."""

import json

import cv2
import numpy as np
import pytest
import sklearn.metrics

from classify_prune import lenet5, mlp
from classify_prune.cli import main
from data_tools.store import open_store
from data_tools.video import VideoOutput, output_format


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def trained(images_h5, tmp_path_factory):
    """A run folder of LeNet-5 on the striped images."""
    root = tmp_path_factory.mktemp("cli")
    (root / "c.yaml").write_text("network: lenet5\nwidths: [4, 6, 16, 12]\nstandardise: standard\nepochs: 12\n")
    options = ("--batch-size", 6, "--learning-rate", 0.01, "--optimizer", "adam", "--json", root / "train.json")
    assert run("train", "--config", root / "c.yaml", "--data", images_h5, "--out", root / "run", *options) == 0
    return root


def test_train_writes_what_it_prints(trained, capsys):
    found = json.loads((trained / "train.json").read_text())
    assert found["epochs"] == 12 and found["monitor"] == "val_loss"
    assert (trained / "run/best.keras").is_file() and (trained / "run/last.keras").is_file()


def test_evaluate_says_what_scikit_learn_says(trained, images_h5, tmp_path, capsys):
    words = ("evaluate", "--model", trained / "run", "--data", images_h5, "--json", tmp_path / "r.json")
    assert run(*words, "--report", tmp_path / "page", "--batch-size", 5) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    counts = np.array(found["confusion"])
    truth = np.repeat(np.arange(3), counts.sum(axis=1))
    answers = np.concatenate([np.repeat(np.arange(3), row) for row in counts])
    np.testing.assert_array_equal(np.sort(truth), np.sort(open_store(images_h5)["test"].labels))
    assert (
        found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, answers)) and found["accuracy"] > 0.7
    )
    # Each class has four test images of twelve.
    assert found["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert found["run"]["network"] == "lenet5" and found["run"]["epochs"] == 12 and found["run"]["task"] == "type"
    told = capsys.readouterr().out
    assert "always answering" in told and "across" in told and f"open {tmp_path / 'page/report.html'}" in told
    page = (tmp_path / "page/report.html").read_text()
    assert "expected calibration error" in page and page.count("<figure>") == 2
    assert cv2.imread(str(tmp_path / "page/confusion.png")) is not None


def test_a_file_of_a_run_knows_the_task_of_the_run(features_h5, tmp_path):
    """The last epoch is judged like the run: by vehicle, not by type."""
    out = tmp_path / "run"
    words = ("--network", "mlp", "--widths", 12, "--task", "vehicle", "--epochs", 2, "--batch-size", 16)
    assert run("train", "--data", features_h5, "--out", out, *words) == 0
    for model in (out, out / "last.keras"):
        data = ("--data", features_h5, "--json", tmp_path / "r.json")
        assert run("evaluate", "--model", model, *data) == 0, model
        found = json.loads((tmp_path / "r.json").read_text())
        assert found["run"]["task"] == "vehicle" and len(found["confusion"]) == 8
    # Elsewhere nothing tells the task of the file but --task.
    (tmp_path / "alone.keras").write_bytes((out / "last.keras").read_bytes())
    alone = ("evaluate", "--model", tmp_path / "alone.keras", "--data", features_h5)
    assert run(*alone) == 2 and run(*alone, "--task", "vehicle") == 0


def test_predict_names_pictures_folders_and_videos(trained, image_folder, tmp_path, capsys):
    path = tmp_path / f"clip{output_format()[1]}"
    video = VideoOutput(path, 10.0, (48, 60))
    still = cv2.cvtColor(cv2.imread(str(image_folder / "plain/00.png")), cv2.COLOR_BGR2RGB)
    for _ in range(3):
        video.add(cv2.resize(still, (60, 48)))
    video.close()
    words = ("predict", image_folder / "across", image_folder / "down/03.png", path, "--model", trained / "run")
    assert run(*words, "--top", 2, "--batch-size", 8, "--json", tmp_path / "p.json") == 0
    found = json.loads((tmp_path / "p.json").read_text())
    assert len(found["images"]) == 21
    first = [answers[0]["class"] for name, answers in found["images"].items() if name != "down/03.png"]
    assert first.count("across") > 14
    for answers in found["images"].values():
        assert len(answers) == 2 and answers[0]["probability"] >= answers[1]["probability"]
    (clip,) = found["videos"].values()
    assert clip["frames"] == 3 == len(clip["each"]) == sum(clip["counts"].values()) and clip["rate"] == 10.0
    assert "images: 3" in capsys.readouterr().out


def test_predict_and_evaluate_see_an_image_alike(trained, images_h5, image_folder, tmp_path):
    """The compiled images are as large as the files, so both ways must give the same probabilities."""
    from classify_prune import inputs
    from classify_prune.loading import load_classifier
    from classify_prune.metrics import softmax

    assert run("predict", image_folder, "--recursive", "--model", trained / "run", "--json", tmp_path / "p.json") == 0
    told = json.loads((tmp_path / "p.json").read_text())["images"]
    model, store = load_classifier(trained / "run"), open_store(images_h5)
    logits, _ = inputs.logits(model, inputs.feed(store, "test", model.inputs_shape, 4, "type"))
    for name, row in zip(store["test"].ids, softmax(logits), strict=True):
        best = told[name][0]
        assert best["class"] == store.class_names[row.argmax()]
        assert best["probability"] == pytest.approx(row.max(), abs=1e-5)


def test_bad_input_is_one_line_and_exit_code_2(trained, images_h5, features_h5, image_folder, tmp_path, capsys):
    mlp(6, 4, (3,), class_names=("north", "east", "south", "west")).save(tmp_path / "vectors.keras")
    lenet5(3, class_names=("a", "b", "c")).save(tmp_path / "other.keras")
    (tmp_path / "broken.png").write_bytes(b"none")
    (tmp_path / "file").touch()
    model = ("--model", trained / "run")
    cases = [
        (
            ("evaluate", *model, "--data", features_h5),
            "a classifier of the classes across, down, plain; expected those",
        ),
        (("evaluate", "--model", tmp_path / "other.keras", "--data", images_h5), "a, b, c; expected those"),
        (("evaluate", *model, "--data", tmp_path / "none.h5"), "nothing there"),
        (("evaluate", *model, "--data", images_h5, "--task", "vehicle"), "without vehicle_id"),
        (("evaluate", *model, "--data", images_h5, "--report", tmp_path / "file"), "which is a file"),
        (("evaluate", "--model", tmp_path, "--data", images_h5), "a folder without best.keras"),
        (("predict", image_folder / "down", "--model", tmp_path / "vectors.keras"), "a classifier of vectors"),
        (("predict", tmp_path / "broken.png", *model), "neither PNG nor JPEG"),
        (("predict", tmp_path, *model), "broken.png"),
        (("train", "--data", images_h5, "--out", tmp_path / "x", "--network", "lenet"), "did you mean 'lenet5'"),
        (
            ("train", "--data", images_h5, "--out", tmp_path / "x", "--network", "lenet5", "--input", "20x20"),
            "32 pixels",
        ),
        (("train", "--data", images_h5, "--out", tmp_path / "x", "--clip-norm", 0), "clip_norm 0; expected above 0"),
    ]
    for words, told in cases:
        assert run(*words) == 2, words
        lines = capsys.readouterr().err.strip().splitlines()
        assert told in lines[-1] and lines[-1].startswith("classify-prune: error: received"), lines
    assert not (tmp_path / "x").exists()


def test_what_cannot_be_read_may_be_left_out(trained, image_folder, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"none")
    words = ("predict", tmp_path / "broken.png", image_folder / "down/03.png", "--model", trained / "run")
    assert run(*words, "--keep-going", "--json", tmp_path / "p.json") == 0
    found = json.loads((tmp_path / "p.json").read_text())
    assert len(found["images"]) == 1 and list(found["skipped"]) == ["broken.png"]
    assert "left out: image" in capsys.readouterr().out


def test_every_verb_explains_itself(capsys):
    for verb in ("train", "evaluate", "predict", "cluster"):
        assert run(verb, "--help") == 0
        assert f"classify-prune {verb}" in capsys.readouterr().out
