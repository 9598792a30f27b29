"""Both programs from end to end: every verb's help, configs, and everything a person can get wrong."""

import errno
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from data_tools import cli as data_cli
from data_tools.store import open_store
from run_tools import config, parsing
from run_tools.files import read_json
from yolo_prune import cli as yolo_cli
from yolo_prune.anchors import as_anchors
from yolo_prune.models import load_detector
from yolo_prune.recipe import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"data-tools": data_cli.main, "yolo-prune": yolo_cli.main}
WIDTHS = ["--widths", *["4"] * 8]
CONFIGS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").glob("*.yaml"))
STEPS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").glob("kitti_*/*.yaml"))


@pytest.fixture
def run(capsys):
    """Runs a command line: (exit code, standard output, standard error)."""

    def call(program, *words):
        code = PROGRAMS[program]([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- help


def test_help_is_quick_and_loads_no_framework():
    script = (
        "import sys\n"
        "from yolo_prune.cli import VERBS, main\n"
        "for verb in VERBS:\n"
        "    assert main([*verb.name.split(), '--help']) == 0\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for verb in yolo_cli.VERBS:
        assert f"example:\n  {verb.example}" in done.stdout and verb.example.startswith(f"yolo-prune {verb.name} ")
        assert verb.summary in done.stdout


@pytest.mark.parametrize("verb", yolo_cli.VERBS, ids=lambda verb: verb.name)
def test_every_example_is_a_valid_command_line(verb):
    from run_tools import parsing

    parsed, _ = parsing.parse(verb.config, verb.name, verb.example.split()[1 + len(verb.name.split()) :])
    assert isinstance(parsed, verb.config)


# ---- what works


def test_evaluate_detect_and_export_from_the_command_line(run, small_model, small_h5, small_kitti, tmp_path):
    code, out, err = run("yolo-prune", "evaluate", "--model", small_model, "--data", small_h5, "--split", "val",
                         "--metrics", "paper,kitti,coco", "--json", tmp_path / "R.json")  # fmt: skip
    result = read_json(tmp_path / "R.json")
    assert code == 0 and {"paper", "one_to_one", "kitti", "coco"} <= set(result), err
    assert 0 <= result["coco"]["car"]["AP50"] <= 1 and "precision at 0.7" in out and "4 images of the split val" in out
    picture = small_kitti / "training/image_2/000000.png"
    code, out, _ = run("yolo-prune", "detect", picture, "--model", small_model, "--out", tmp_path / "found")
    assert code == 0 and "000000.png: " in out and (tmp_path / "found/000000.png").is_file()
    code, out, _ = run("yolo-prune", "kitti-eval", small_kitti / "training/label_2", tmp_path / "found/results")
    assert code == 0 and "moderate AP40" in out
    words = ["--model", small_model, "--out", tmp_path / "e", "--nms", "--limit", "20", "--json", tmp_path / "e.json"]
    code, out, _ = run("yolo-prune", "export", *words)
    assert code == 0 and "detections" in out and (tmp_path / "e/saved_model/saved_model.pb").is_file()
    assert read_json(tmp_path / "e.json")["saved_model"]["nms"] is True


def test_export_and_benchmark_of_several_formats(run, small_model, make_detector, tmp_path):
    for module in ("ai_edge_litert", "zstandard"):
        pytest.importorskip(module, reason="the extra export")
    code, out, err = run("yolo-prune", "export", "--model", small_model, "--out", tmp_path / "e",
                         "--formats", "litert,compressed", "--bits", "0")  # fmt: skip
    assert code == 0 and "litert: " in out and "the raw head" in out and "weights bit for bit" in out, err
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == ["model.kerasz", "model.tflite"]
    words = ["benchmark", "--model", tmp_path / "e/model.kerasz", "--against", small_model]
    words += ["--runtimes", "keras,litert", "--rounds", "1", "--calls", "1", "--threads", "1"]
    words += ["--json", tmp_path / "b.json"]
    code, out, err = run("yolo-prune", *words)
    result = read_json(tmp_path / "b.json")
    assert code == 0 and "no sparse kernels" in out and "1 threads" in out, err
    assert [(row["model"], row["format"]) for row in result["rows"]] == [
        (model, form)
        for model in ("model", "against")
        for form in (".keras", "LiteRT, dense", "LiteRT, sparse where it pays")
    ]
    assert all(row["milliseconds"] > 0 and row["max_difference"] < 1e-4 for row in result["rows"])
    assert result["input"] == [64, 128] and result["paths"]["against"] == str(small_model)
    make_detector(image_size=(32, 64)).save(tmp_path / "other.keras")
    code, _, err = run("yolo-prune", "benchmark", "--model", small_model, "--against", tmp_path / "other.keras")
    assert code == 2 and "model: 128x64, against: 64x32" in err


def test_yaml_and_the_command_line_over_it(run, small_model, small_h5, tmp_path):
    (tmp_path / "c.yaml").write_text(
        f"model: {small_model}\ndata: {small_h5}\nsplit: val\nmetrics: [coco]\nscore: 0.4\n"
    )
    words = ["evaluate", "--config", tmp_path / "c.yaml", "--json", tmp_path / "R.json"]
    assert run("yolo-prune", *words)[0] == 0
    told = read_json(tmp_path / "R.json")
    assert told["run"]["split"] == "val" and told["run"]["score"] == 0.4 and "paper" not in told
    assert run("yolo-prune", *words, "--split", "test", "--metrics", "paper")[0] == 0
    told = read_json(tmp_path / "R.json")
    assert told["run"]["split"] == "test" and told["run"]["score"] == 0.4 and "coco" not in told


def test_the_printed_anchors_are_one_option_of_train(run, small_h5, tmp_path):
    code, out, _ = run("data-tools", "anchors", small_h5, "-k", 3, "--json", tmp_path / "R.json")
    (line,) = [line for line in out.splitlines() if line.startswith("--anchors")]
    assert code == 0
    words = ["--data", str(small_h5), "--out", str(tmp_path / "run"), *shlex.split(line)]
    options, _ = parsing.parse(TrainConfig, "yolo-prune train", words)
    wanted = read_json(tmp_path / "R.json")["anchors"]
    assert len(wanted) == 3 and as_anchors(options.anchors) == tuple(map(tuple, wanted))
    # A shell takes an unquoted semicolon for the end of the command.
    assert ";" not in list(shlex.shlex(line, posix=False, punctuation_chars=True))


def test_a_full_disk_is_told_in_one_line(run, small_kitti, small_model, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    image = small_kitti / "training/image_2/000000.png"
    code, out, err = run("yolo-prune", "detect", image, "--model", small_model, "--out", tmp_path / "out")
    told = [line for line in err.split("\n") if line and "detecting:" not in line]  # that is the progress bar
    assert (code, out, len(told)) == (2, "", 1) and "received disk full" in told[0]
    assert not list((tmp_path / "out").iterdir())


def test_configs_are_there():
    assert CONFIGS and STEPS


@pytest.mark.parametrize("path", [*CONFIGS, *STEPS], ids=str)
def test_a_shipped_config_says_its_command(path, small_h5, tmp_path):
    assert f"# yolo-prune train --config {path} " in (ROOT / path).read_text()
    config.load(TrainConfig, ROOT / path, data=small_h5, out=tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_trains_when_shrunk(run, eager, path, small_h5, make_detector, tmp_path):
    loaded = config.load(TrainConfig, ROOT / path, data=small_h5, out=tmp_path / "run")
    stages = [f"{stage.train}:1:{stage.learning_rate}:{stage.schedule}" for stage in loaded.stages]
    words = [
        "--data",
        small_h5,
        "--out",
        tmp_path / "run",
        "--input",
        "128x64",
        "--stages",
        *stages,
        "--monitor-every",
        1,
        "--images-every",
        0,
    ]
    words += ["--widths", *["4"] * len(loaded.widths or range(8)), "--batch-size", "4"]
    words += ["--limit", "8"] if loaded.limit else []
    if loaded.anchors == "weights":
        make_detector(anchors="0.8,0.6;0.3,0.8", widths=(4,) * 8).save(tmp_path / "before.keras")
        words += ["--weights", tmp_path / "before.keras"]
    code, out, err = run("yolo-prune", "train", "--config", ROOT / path, *words, "--json", tmp_path / "R.json")
    assert code == 0, err
    result = read_json(tmp_path / "R.json")
    assert result["epochs"] == len(stages) and result["monitor"] == loaded.monitor
    model = load_detector(tmp_path / "run")
    assert model.image_size == (64, 128) and model.variant == loaded.variant
    assert (model.anchors == ((0.8, 0.6), (0.3, 0.8))) == (loaded.anchors == "weights")
    kept = config.read_yaml(tmp_path / "run/config.yaml")
    assert replace(config.from_mapping(TrainConfig, kept), data=small_h5).batch_size == 4


@pytest.mark.slow
def test_weights_of_other_classes_or_anchors_lend_their_body_alone(run, eager, make_detector, small_h5, tmp_path):
    make_detector("kitti", widths=(4,) * 8).save(tmp_path / "kitti.keras")
    make_detector("merged", anchors="coco", widths=(4,) * 8).save(tmp_path / "coco.keras")
    words = ["train", "--data", small_h5, "--input", "128x64", *WIDTHS, "--stages", "head:1", "--anchors", "voc"]
    words += ["--images-every", 0]
    # Their heads would mean something else here, so that must be asked for; nothing is left behind.
    for name, told in (("kitti", "its classes are car, van"), ("coco", "was trained with other anchors")):
        code, _, err = run("yolo-prune", *words, "--out", tmp_path / "run", "--weights", tmp_path / f"{name}.keras")
        assert code == 2 and told in err and "--new-head" in err and err.count("\n") == 1
        assert not (tmp_path / "run").exists()
    for name in ("kitti", "coco"):
        out, source = tmp_path / f"run_{name}", tmp_path / f"{name}.keras"
        code, shown, err = run("yolo-prune", *words, "--out", out, "--weights", source, "--new-head")
        assert code == 0, err
        assert "loaded conv_1, norm_1, conv_2" in shown and "conv_9 starts fresh: a new head is wanted" in shown
        trained, origin = load_detector(out), load_detector(source)
        assert trained.class_names == ("car", "pedestrian", "cyclist", "truck", "tram")
        # Only the head learned, so the body is still the lender's.
        assert (trained.get_layer("conv_8").get_weights()[0] == origin.get_layer("conv_8").get_weights()[0]).all()
    # As a model to judge, the first has classes of a known set and is fine; it is the classes that decide.
    assert run("yolo-prune", "evaluate", "--model", tmp_path / "kitti.keras", "--data", small_h5)[0] == 0


# ---- what is wrong


def cut(source: Path, target: Path) -> Path:
    """The first half of a file."""
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    return target


def other_schema(folder: Path) -> Path:
    path = folder / "other.h5"
    with h5py.File(path, "w") as file:
        file["images"] = [1, 2, 3]
    return path


def spoil_label(root: Path, line: str) -> None:
    (root / "training/label_2/000003.txt").write_text(line + "\n")


GOOD = "Car 0.00 0 1.57 10 20 60 70 1.5 1.6 3.9 1 1.5 20 1.57"
SPOILS = {
    "missing folder": (lambda root: shutil.rmtree(root), "nothing there"),
    "image without label": (lambda root: (root / "training/label_2/000003.txt").unlink(), "000003"),
    "label without image": (lambda root: (root / "training/image_2/000003.png").unlink(), "000003"),
    "truncated PNG": (lambda root: cut(*[root / "training/image_2/000003.png"] * 2), "cut off"),
    "14 columns": (lambda root: spoil_label(root, GOOD.rsplit(" ", 1)[0]), "14 columns"),
    "letters for numbers": (lambda root: spoil_label(root, GOOD.replace("60", "sixty")), "'sixty'"),
    "box outside": (lambda root: spoil_label(root, GOOD.replace("10 20 60 70", "900 20 960 70")), "000003"),
    "inverted box": (lambda root: spoil_label(root, GOOD.replace("10 20 60 70", "60 20 10 70")), "left < right"),
    "unknown class": (lambda root: spoil_label(root, GOOD.replace("Car", "Bus")), "'Bus'"),
    "empty data set": (lambda root: [path.unlink() for path in root.rglob("*.*")], "at least one"),
}


def assert_refused(run, program, words, told, folder):
    """Exit code 2, nothing but one line on the error stream, and no file more or less."""
    before = everything(folder)
    code, out, err = run(program, *words)
    assert (code, out) == (2, ""), err
    assert err.count("\n") == 1 and err.startswith(f"{program}: error: received "), err
    assert told in err and "; expected " in err and "Traceback" not in err
    assert everything(folder) == before


@pytest.mark.parametrize("kind", SPOILS)
def test_wrong_folders(run, small_kitti, tmp_path, kind):
    root = tmp_path / "kitti"
    shutil.copytree(small_kitti, root)
    spoil, told = SPOILS[kind]
    spoil(root)
    assert_refused(run, "data-tools", ["compile", "kitti", root, tmp_path / "o.h5", "--size", "160x96"], told, tmp_path)


@pytest.mark.parametrize(
    ("program", "words", "told"),
    [
        ("data-tools", "compile kitti {kitti} {tmp}/o.h5 --size 160x90", "160x96"),
        ("data-tools", "verify {other}", "other.h5"),
        ("data-tools", "inspect {cut}", "cut.h5"),
        ("yolo-prune", "train --data {data} --out {tmp}/run --input 160x90", "160x96"),
        ("yolo-prune", "train --data {other} --out {tmp}/run", "other.h5"),
        ("yolo-prune", "train --data {cut} --out {tmp}/run", "cut.h5"),
        ("yolo-prune", "train --data {tmp}/none.h5 --out {tmp}/run", "none.h5"),
        ("yolo-prune", "train --data {data} --out {tmp}/run --stages all", "stage 'all'"),
        ("yolo-prune", "train --data {data} --out {tmp}/run --classes voc", "merged, kitti, coco"),
        ("yolo-prune", "train --data {data} --outt {tmp}/run", "did you mean --out?"),
        ("yolo-prune", "evaluate --model {model} --data {other}", "other.h5"),
        ("yolo-prune", "evaluate --model {model} --data {cut}", "cut.h5"),
        ("yolo-prune", "evaluate --model {model} --data {data} --split tests", "split 'tests'"),
        ("yolo-prune", "evaluate --model {model} --data {data} --metrics koko", "did you mean 'coco'?"),
        ("yolo-prune", "evaluate --model {farm} --data {data}", "a detector of cat, dog"),
        ("yolo-prune", "evaluate --model {half} --data {data}", "no whole .keras archive"),
        ("yolo-prune", "evaluate --model {tmp} --data {data}", "without best.keras"),
        ("yolo-prune", "evaluate --model {tmp}/none.keras --data {data}", "no such file"),
        ("yolo-prune", "evaluate --model {plain} --data {data}", "a YoloV2 detector"),
        ("yolo-prune", "evaluate --model {model}", "--data"),
        ("yolo-prune", "detect {tmp}/none.png --model {model} --out {tmp}/found", "none.png"),
        ("yolo-prune", "detect {picture} {half} --model {model} --out {tmp}/found", "neither PNG nor JPEG"),
        ("yolo-prune", "export --model {half} --out {tmp}/exported", "no whole .keras archive"),
        ("yolo-prune", "export --model {model} --out {tmp}/e --formats onxx", "did you mean 'onnx'?"),
        ("yolo-prune", "benchmark --model {model} --runtimes tflite", "unknown runtime 'tflite'"),
        ("yolo-prune", "kitti-eval {tmp} {tmp}/none", "not a folder"),
        ("yolo-prune", "evaluat", "did you mean 'evaluate'?"),
    ],
)
def test_wrong_words_files_and_models(
    run, program, words, told, small_kitti, small_h5, small_model, make_detector, tmp_path
):
    places = {"tmp": tmp_path, "kitti": small_kitti, "data": small_h5, "model": small_model}
    places["picture"] = small_kitti / "training/image_2/000000.png"
    if "{other}" in words:
        places["other"] = other_schema(tmp_path)
    places["cut"], places["half"] = cut(small_h5, tmp_path / "cut.h5"), cut(small_model, tmp_path / "half.keras")
    if "{farm}" in words:
        places["farm"] = tmp_path / "farm.keras"
        make_detector(class_names=("cat", "dog", "cow", "pig", "hen")).save(places["farm"])
    if "{plain}" in words:
        import keras

        places["plain"] = tmp_path / "plain.keras"
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(places["plain"])
    assert_refused(run, program, words.format(**places).split(), told, tmp_path)


def test_nothing_but_the_line_reaches_the_screen_of_a_real_process(small_model, small_h5):
    """In a process of its own TensorFlow would have much to say about processors and missing graphics cards."""
    words = ["evaluate", "--model", str(small_model), "--data", str(small_h5), "--split", "tests"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-m", "yolo_prune", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("yolo-prune: error: received split 'tests'") and done.stderr.count("\n") == 1
    assert open_store(small_h5).splits == ("train", "val", "test")
