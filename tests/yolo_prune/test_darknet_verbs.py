"""`import-darknet` and `export-darknet`, and what the other verbs do with an imported network."""

import keras
import numpy as np
import pytest

from run_tools.files import read_json
from tests.yolo_prune import darknet_reference as reference
from yolo_prune import YoloV2, cli, darknet
from yolo_prune.models import load_detector
from yolo_prune.network import FULL_WIDTHS
from yolo_prune.transfer import transfer

TEXT = reference.tiny((8,) * 8, size=(128, 64))
"""80 classes of COCO and its anchors, on a network of the size that the other tests use."""


@pytest.fixture
def run(capsys):
    """Runs a command line: (exit code, standard output, standard error)."""

    def call(*words):
        code = cli.main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def files(tmp_path):
    """A cfg and its weights, whose head says a lot."""
    (tmp_path / "net.cfg").write_text(TEXT)
    weights = bytearray(reference.random_weights(TEXT))
    head = np.frombuffer(weights[-4 * 425 * 8 :], "<f4") * 5
    weights[-4 * 425 * 8 :] = head.astype("<f4").tobytes()
    (tmp_path / "net.weights").write_bytes(weights)
    return tmp_path / "net.cfg", tmp_path / "net.weights"


def test_in_used_and_out_again(run, files, small_h5, small_kitti, tmp_path):
    cfg, weights = files
    model, words = tmp_path / "net.keras", ["--json", tmp_path / "R.json"]
    code, out, err = run("import-darknet", cfg, weights, model, *words)
    told = read_json(tmp_path / "R.json")
    assert code == 0, err
    assert "input 128x64" in out and "80 classes, 5 anchors" in out and "after 12,800 images" in out
    assert "person, bicycle, car … as 80 usually are" in out
    assert told["input"] == [64, 128] and told["header"]["seen"] == 12_800 and told["class_names"][2] == "car"

    # A head of COCO's classes is judged on KITTI through the class set coco.
    code, out, err = run("evaluate", "--model", model, "--data", small_h5, "--split", "val", *words)
    assert code == 0, err
    told = read_json(tmp_path / "R.json")
    assert told["truth"]["car"] > 0 and told["truth"]["person"] > 0 and "AP50" in told["coco"]["car"]
    picture = small_kitti / "training/image_2/000000.png"
    code, out, err = run("detect", picture, "--model", model, "--out", tmp_path / "found", "--score", "0.001")
    assert code == 0 and (tmp_path / "found/results/000000.txt").is_file(), err
    code, out, err = run("export", "--model", model, "--out", tmp_path / "exported")
    assert code == 0 and (tmp_path / "exported/saved_model/saved_model.pb").is_file(), err

    names = tmp_path / "coco.names"
    out_files = tmp_path / "again.cfg", tmp_path / "again.weights"
    code, out, err = run("export-darknet", model, *out_files, "--names", names)
    assert code == 0 and "12,800 images seen" in out, err
    assert [path.read_bytes() for path in out_files] == [path.read_bytes() for path in files]
    assert names.read_text().splitlines()[:3] == ["person", "bicycle", "car"]


def test_numbers_that_are_none_are_told_of(run, files, tmp_path):
    weights = bytearray(files[1].read_bytes())
    weights[-4:] = np.float32(np.nan).tobytes()
    files[1].write_bytes(weights)
    code, out, err = run("import-darknet", *files, tmp_path / "o.keras")
    assert code == 0 and "note: 1 of the weights are no finite numbers" in out, err


def test_a_model_trained_here_goes_out_and_comes_back(run, small_model, tmp_path):
    files = [tmp_path / name for name in ("own.cfg", "own.weights", "own.names")]
    code, out, err = run("export-darknet", small_model, *files[:2], "--names", files[2])
    assert code == 0, err
    code, out, err = run("import-darknet", *files[:2], tmp_path / "own.keras", "--names", files[2])
    assert code == 0 and "note:" not in out, err
    model, again = load_detector(small_model), load_detector(tmp_path / "own.keras")
    images = np.random.default_rng(0).random((2, *model.image_size, 3), np.float32)
    ours, theirs = (keras.ops.convert_to_numpy(each(images, training=False)) for each in (model, again))
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5 * np.abs(ours).max())
    assert again.class_names == model.class_names and again.anchors == model.anchors


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("import-darknet {tmp}/net.cfg {tmp}/short.weights {tmp}/o.keras", "net.cfg; give the weights"),
        ("import-darknet {tmp}/net.cfg {tmp}/none.weights {tmp}/o.keras", "none.weights: no such file"),
        ("import-darknet {tmp}/wrong.cfg {tmp}/net.weights {tmp}/o.keras", "wrong.cfg, line 17: [shortcut]"),
        ("import-darknet {tmp}/net.weights {tmp}/net.cfg {tmp}/o.keras", "net.weights, which is no text; expected a"),
        ("import-darknet {tmp}/net.cfg {tmp}/net.weights {tmp}/o.h5", "ends in .keras"),
        ("import-darknet {tmp}/net.cfg {tmp}/net.weights {tmp}/o.keras --names {tmp}/none", "which is no text file"),
        ("import-darknet {tmp}/net.cfg {tmp}/net.weights {tmp}/o.keras --names {tmp}/net.cfg", "class names"),
        ("import-darknet {tmp}/net.cfg {tmp}/net.weights {tmp}/o.keras --names {tmp}/twice", "class name 'a' twice"),
        ("import-darknet {tmp}/net.cfg {tmp}/net.weights", "OUT"),
        ("export-darknet {tmp}/none.keras {tmp}/o.cfg {tmp}/o.weights", "none.keras: no such file"),
        ("export-darknet {tmp}/plain.keras {tmp}/o.cfg {tmp}/o.weights", "a YoloV2 detector"),
        ("export-darknet {model} {tmp}/o {tmp}/o", "two files"),
        ("export-darknet {model} {tmp}/o.cfg {tmp}/o --names {tmp}/o.cfg", "three files"),
    ],
)
def test_what_is_wrong_is_one_line(run, files, small_model, tmp_path, words, told):
    (tmp_path / "short.weights").write_bytes(files[1].read_bytes()[:-4])
    (tmp_path / "wrong.cfg").write_text(TEXT.replace("[maxpool]", "[shortcut]", 1))
    (tmp_path / "twice").write_text("a\n" * 80)
    if "plain" in words:
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(tmp_path / "plain.keras")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    code, out, err = run(*words.format(tmp=tmp_path, model=small_model).split())
    assert (code, out, err.count("\n")) == (2, "", 1) and told in err, err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.slow
def test_training_starts_from_an_imported_network(run, files, small_h5, tmp_path):
    assert run("import-darknet", *files, tmp_path / "net.keras")[0] == 0
    words = [
        "train",
        "--data",
        small_h5,
        "--input",
        "128x64",
        "--widths",
        *["8"] * 8,
        "--weights",
        tmp_path / "net.keras",
    ]
    code, out, err = run(
        *words, "--classes", "coco", "--anchors", "coco", "--stages", "head:1", "--out", tmp_path / "run"
    )
    assert code == 0, err
    assert "loaded conv_1, norm_1" in out and "starts fresh" not in out
    trained, origin = load_detector(tmp_path / "run"), load_detector(tmp_path / "net.keras")
    np.testing.assert_array_equal(
        trained.get_layer("conv_8").get_weights()[0], origin.get_layer("conv_8").get_weights()[0]
    )


def test_weights_fit_the_full_network_with_darknets_passthrough(tmp_path):
    text = reference.full(2, "1,1.5, 2,1", (64, 32), of=16)
    (tmp_path / "net.cfg").write_text(text)
    (tmp_path / "net.weights").write_bytes(reference.random_weights(text))
    source = darknet.load(tmp_path / "net.cfg", tmp_path / "net.weights")
    widths = tuple(width // 16 for width in FULL_WIDTHS)
    images = np.random.default_rng(0).random((1, 32, 64, 3), np.float32)

    model = YoloV2(2, source.anchors, (32, 64), widths=widths, passthrough="reorg")
    assert not transfer(model, source).skipped
    theirs = keras.ops.convert_to_numpy(source(images, training=False))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(images, training=False)), theirs)
    assert YoloV2.from_config(model.get_config()).passthrough == "reorg"

    model = YoloV2(2, source.anchors, (32, 64), widths=widths)
    result = transfer(model, source)
    assert set(result.skipped) == {"conv_22", "norm_22"}
    assert "it reads a reorg passthrough, here space_to_depth" in result.skipped["conv_22"]
