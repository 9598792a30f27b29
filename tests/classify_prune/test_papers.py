"""The frame of `classify-prune paper`, and paper 000 on a few tiny images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from classify_prune import cli
from classify_prune.papers import data, pages, registry, verb
from classify_prune.papers.paper000 import parts, published
from classify_prune.papers.paper000.settings import Settings
from data_tools.compiler import DataCompiler
from data_tools.image_folder import ImageFolderExtractor
from data_tools.store import open_store
from prune_tools.merge import RULES
from run_tools.errors import InputError
from run_tools.files import write_json
from run_tools.report import Report
from run_tools.summaries import spread

TINY = [
    *("--input", "32x32", "--widths", "4", "4", "4", "4", "--epochs", "1", "--tune-epochs", "1", "--batch-size", "12"),
    *("--sparsity", ".5", "--angles", "10", "40", "--tuned-angles", "40", "--equal-angles", "40"),
    *("--tuned-rules", "least_squares", "--recalibrate", "1", "--images", "12", "--focus", "40"),
]


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eager_module")]


@pytest.fixture(scope="module")
def finished(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("papers") / "paper000"
    assert cli.main(["paper", "000", "--data", str(image_folder), "--out", str(out), *TINY]) == 0
    return out


def test_a_paper_is_a_verb_by_its_package() -> None:
    assert "000" in registry.numbers()
    names = [verb.name for verb in registry.verbs()]
    assert names[0] == "paper 000" and names[-1] == "paper summary"


def test_settings_are_the_options_without_the_frames() -> None:
    options = registry.options_of("000")(data=Path("d.h5"), out=Path("o"), epochs=7, seeds=(1, 2))
    settings = registry.settings_of(options)
    assert (settings.epochs, settings.seeds) == (7, (1, 2))
    assert not hasattr(settings, "data")
    quick = registry.settings_of(dataclasses.replace(options, quick=True))
    assert quick.widths == (16, 32, 64, 128) and quick.seeds == (1,) and quick.epochs == 7


@pytest.mark.parametrize("number", registry.numbers())
def test_a_paper_without_seeds_is_refused(number: str) -> None:
    with pytest.raises(InputError, match="no seeds; expected at least one"):
        registry.options_of(number)(data=Path("d.h5"), out=Path("o"), seeds=())


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        ("000", ["--sparsity", "30"], "sparsity 30; expected fractions above 0 and below 1"),
        ("000", ["--angles", "-5"], "--angles -5.0; expected at least 0"),
        ("000", ["--equal-angles", "200"], "--equal-angles 200.0; expected at most 180"),
        ("000", ["--tuned-rules", "outgoing", "least_square"], "did you mean 'least_squares'"),
        ("002", ["--amounts", "-.2"], "--amounts -0.2; expected at least 0"),
        ("002", ["--structured", "-.2"], "--structured -0.2; expected at least 0"),
        ("002", ["--fuzziness", "1.7", "1"], "fuzziness 1; expected numbers above 1"),
        ("004", ["--patience", "0"], "--patience 0; expected at least 1"),
    ],
)
def test_what_hours_of_training_would_end_in_is_told_at_once(
    number: str, words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert cli.main(["paper", number, "--data", str(tmp_path), "--out", str(out), *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize("number", registry.numbers())
def test_a_split_that_is_missing_is_told_before_vectors_are_made(
    number: str, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.h5"
    DataCompiler(ImageFolderExtractor(image_folder), fractions=(1, 0, 0), progress=False).compile(file)
    assert cli.main(["paper", number, "--data", str(file), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "split 'val'; expected one of train" in error and not (tmp_path / "run").exists()


def test_spread_by_hand() -> None:
    # mean 0.5 and sample deviation sqrt((0.1² + 0.1²) / 1) = 0.1414 in percent
    assert spread([0.4, 0.6]) == "50.0 ± 14.1"
    assert spread([0.4, None]) == "40.0"
    assert spread(0.123) == "12.3"
    assert spread([]) is None


def test_published_numbers_stand_beside_ours() -> None:
    report = Report("t")
    pages.beside(report, "level", ("test",), {"5": (38.0,), "10": (31.7,)}, {"10": ([0.5, 0.5],), "own": (0.25,)}, "c")
    page = report.html()
    rows = [part.split("</tr>")[0] for part in page.split("<tbody>")[1].split("<tr>")[1:]]
    cells = [[cell.split(">", 1)[1].split("<")[0] for cell in row.split("<td")[1:]] for row in rows]
    assert cells == [
        ["5", "38", "–"],
        ["10", "31.7", "50.0\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.0"],
        ["own", "–", "25.0"],
    ]


def test_a_folder_is_compiled_once(image_folder: Path, tmp_path: Path) -> None:
    file = data.compiled(image_folder, tmp_path, "16x12")
    before = file.stat().st_mtime_ns
    assert data.compiled(image_folder, tmp_path, "16x12").stat().st_mtime_ns == before
    assert data.compiled(file, tmp_path / "other") == file
    facts = data.facts(file)
    assert facts["input"] == "16x12" and facts["images"] == {"train": 36, "val": 12, "test": 12}
    assert sum(facts["classes"].values()) == pytest.approx(1)
    assert facts["majority"]["test"] == pytest.approx(1 / 3)


def test_identities_have_another_class_to_beat_than_types(features_h5: Path) -> None:
    facts = data.facts(features_h5, "vehicle", 3)
    vehicles = {split: open_store(features_h5)[split].columns["vehicle_id"] for split in ("train", "val", "test")}
    # The file's vehicles are 1 to 8.
    counts = [int((vehicles["train"] == number).sum()) for number in (1, 2, 3)]
    most = 1 + counts.index(max(counts))
    tested = vehicles["test"][vehicles["test"] <= 3]
    assert facts["task"]["classes"] == 3 and facts["task"]["images"]["test"] == len(tested)
    assert facts["task"]["majority"]["test"] == pytest.approx((tested == most).mean())
    assert sum(facts["classes"].values()) == pytest.approx(1) and len(facts["classes"]) == 4
    page = pages.begin({"paper": "004", "quick": False, "data": facts, "claims": []}, "t").html()
    assert f"Told apart are 3 classes of the task vehicle ({sum(counts)} train" in page
    assert f"Always answering {facts['task']['majority']['class']} is right on" in page
    assert "task" not in data.facts(features_h5)


def test_data_that_is_not_there_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert cli.main(["paper", "000", "--data", str(tmp_path / "gone.h5"), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not out.exists()
    with pytest.raises(InputError):
        data.compiled(tmp_path / "gone", tmp_path)


def test_class_folder_with_one_image_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2
    import numpy as np

    for kind, count in (("bus", 1), ("car", 3)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for index in range(count):
            cv2.imwrite(str(tmp_path / "photos" / kind / f"{index}.png"), np.full((8, 8, 3), 9, np.uint8))
    assert cli.main(["paper", "000", "--data", str(tmp_path / "photos"), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "bus with 1 image" in error
    assert not (tmp_path / "run").exists()


def test_vehiclex_without_its_labels_is_no_class_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    for split in ("train", "val"):
        (tmp_path / "vehicles" / split).mkdir(parents=True)
        np.save(tmp_path / "vehicles" / split / "0001_c001_1.npy", np.zeros(3, np.float32))
    assert cli.main(["paper", "001", "--data", str(tmp_path / "vehicles"), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "without label files" in error and not (tmp_path / "run").exists()


def test_the_corrected_command_may_use_the_same_folder(
    features_h5: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    # Vectors are refused, after the folder was made.
    assert cli.main(["paper", "000", "--data", str(features_h5), "--out", str(out), *TINY]) == 2
    assert not out.exists()
    # A folder that was there is never removed, nor one with a training in it.
    (out / "seed-0").mkdir(parents=True)
    assert cli.main(["paper", "000", "--data", str(features_h5), "--out", str(out), *TINY]) == 2
    assert (out / "seed-0").is_dir() and capsys.readouterr().err.count("holds features") == 2


@pytest.mark.parametrize(("also", "kept"), [("data.h5.partial.journal", False), ("seed-0", True)])
def test_only_a_folder_without_a_training_is_forgotten(tmp_path: Path, also: str, kept: bool) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in ("config.yaml", "environment.json", "run.lock", "data.h5.partial", also):
        (out / name).touch()
    verb._forget(out)
    assert out.exists() == kept


def test_result_and_report(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    assert result["paper"] == "000" and result["data"]["images"]["test"] == 12
    found = result["seeds"]["0"]
    assert found["magnitude"]["50"]["sparsity"] > 0.4
    page = (finished / "report.html").read_text()
    assert "Table 1" in page and "readings chosen" in page and "38.9" in page
    for reading in published.READINGS:
        assert reading.where in page


def test_finished_trainings_are_not_run_again(finished: Path, image_folder: Path) -> None:
    kept = {path: path.stat().st_mtime_ns for path in finished.glob("seed-0/*/best.keras")}
    assert kept
    assert cli.main(["paper", "000", "--data", str(image_folder), "--out", str(finished), *TINY]) == 0
    assert kept == {path: path.stat().st_mtime_ns for path in finished.glob("seed-0/*/best.keras")}


def test_every_part_of_paper_000_is_there(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    found = result["seeds"]["0"]
    assert set(found["surgery"]) == {f"{angle} {rule}" for angle in (10, 40) for rule in RULES}
    for entry in found["surgery"].values():
        assert entry["units"] == 12 * 4 and "recalibrated" in entry
    cut = found["surgery"]["40 least_squares"]
    assert 0 < cut["removed"] < cut["units"]
    assert found["tuned"]["40 outgoing"]["parameters"] == cut["parameters"] < found["base"]["parameters"]
    # Masks meet the cost that they are to meet, as nearly as one weight can.
    equal = found["equal"]["40"]
    assert equal["parameters"]["nonzero"] == pytest.approx(cut["nonzero"], abs=60)
    assert equal["macs"]["macs_nonzero"] == pytest.approx(cut["macs"], rel=0.02)
    assert len(result["claims"]) == 4
    for claim in result["claims"]:
        assert set(claim) == {"claim", "published", "ours"} and "–" not in claim["ours"]
    base = f"{100 * found['base']['test']['accuracy']:.1f}"
    assert result["claims"][1]["ours"].startswith(f"{base} → ") and result["claims"][1]["ours"].endswith(
        f"; {cut['removed']} of 48 units go"
    )


def test_equal_cost_at_an_angle_that_is_in_no_table() -> None:
    class Few:
        settings = Settings(angles=(10.0,), tuned_angles=(10.0,), equal_angles=(12.0,))

        def removed(self, angle: float) -> dict[str, int]:
            return {"removed": int(angle), "units": 48}

        def tuned(self, name: str, start: Any) -> dict[str, Any]:
            return {"name": name, "nonzero": 7, "macs_nonzero": 70, "parameters": 7, "macs": 70}

        def thinned(self, *_: Any) -> None: ...

        def copy(self) -> None: ...

        def masked(self, name: str, sparsity: float) -> tuple[str, float]:
            return name, sparsity

        def sparsity_for(self, count: str, wanted: int) -> float:
            return wanted

    few: Any = Few()
    tuned = parts.thinned_and_tuned(few)
    assert tuned["12 outgoing"]["name"] == "angle-12-outgoing"
    assert parts.equal_cost(few, tuned) == {
        "12": {"parameters": ("equal-12-parameters", 7), "macs": ("equal-12-macs", 70)}
    }


def test_summary_is_a_markdown_table(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["paper", "summary", str(finished)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[1].startswith("|---") and all(line.startswith("| 000 |") for line in lines[2:-2])
    table, below = lines[2:-2], lines[-1]
    assert all(line.count("|") == 5 and line.endswith(" | stripes |") for line in table)
    assert below == "000 on stripes: 12 images for test, 1 seed."
    assert "38.0 → 31.7 %" not in lines[3] and "distinctiveness collapses at 40°: not given" in lines[3]
    # A claim that two runs look at is told once.
    assert cli.main(["paper", "summary", str(finished), str(finished)]) == 0
    twice = capsys.readouterr().out.strip().splitlines()
    assert twice[2:-2:2] == table and all(line.startswith("| 000 |  | ") for line in twice[3:-2:2])
    assert cli.main(["paper", "summary", str(tmp_path)]) == 2


def of_the_detector() -> dict[str, Any]:
    """What `yolo-prune paper003` writes, as far as the summary reads it."""
    from yolo_prune.experiments import table2

    def row(precision: float | None, recall: float) -> dict[str, object]:
        return {"paper": {"car": {"precision": precision, "recall": recall}}}

    titles = list(table2.PAPER)
    rows = dict(zip(titles, (row(0.963, 0.0304), row(None, 0), row(1.0, 0.055), row(0.25, 0.5)), strict=True))
    return {
        "rows": rows,
        "paper": table2.PAPER,
        "data": "KITTI 2D object, split val",
        "images": {"train": 70, "val": 12, "test": 9},
        "source": "body.npz",
        "quick": True,
    }


def test_summary_reads_the_detectors_paper(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "paper003.json", of_the_detector())
    assert cli.main(["paper", "summary", str(tmp_path), str(finished)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    # Table 2 of the paper, its column of cars.
    assert lines[-3] == (
        "| 003 | retraining on KITTI finds cars (precision / recall): .44 / .60 → COCO-FT .65 / .82, COCO-Full "
        ".70 / .83, KITTI-FT .97 / .53 | .96 / .03 → COCO-FT – / .00, COCO-Full 1.00 / .06, KITTI-FT .25 / .50 | "
        "KITTI 2D object, quick |"
    )
    assert lines[2].startswith("| 000 |")
    assert lines[-1].endswith("; 003 on KITTI 2D object, quick: 12 images for test, 1 seed, begun from body.npz.")
    # A source without a head of the classes is not judged before the training.
    found = of_the_detector()
    found["rows"]["not fine-tuned"] = None
    write_json(tmp_path / "paper003.json", found)
    assert cli.main(["paper", "summary", str(tmp_path)]) == 0
    assert "| not measured → COCO-FT – / .00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("result.json", "{}", "KeyError: 'paper'"),
        ("result.json", '{"paper": "777"}', "unknown paper 777"),
        ("result.json", "[1]", "no paper's result"),
        ("result.json", "{", "which is not JSON"),
        ("paper003.json", '{"rows": {}}', "no paper's result"),
        ("other.json", "{}", "neither result.json nor paper003.json"),
    ],
)
def test_a_summary_of_something_else_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content)
    assert cli.main(["paper", "summary", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and told in error
