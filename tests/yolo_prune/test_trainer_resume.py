"""Which runs are gone on with, and from where."""

import pytest

from data_tools.compiler import DataCompiler
from data_tools.kitti import KittiExtractor
from data_tools.store import open_store
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from yolo_prune.recipe import Stage
from yolo_prune.trainer import Trainer


@pytest.mark.parametrize(
    "patience, stages, resumed",
    [
        # No better for 2 epochs: stage 1 has run out, and stage 2 begins, at epoch 10.
        (2, (Stage("head", 10), Stage("all", 10)), (10, 20)),
        (3, (Stage("head", 10),), (4, 10)),
    ],
)
def test_only_a_stage_with_patience_left_is_gone_on_with(
    small, small_h5, tmp_path, fits, make_detector, patience, stages, resumed
):
    chosen = small(small_h5, tmp_path / "run", patience=patience, stages=stages)
    # Best in epoch 1, last checkpoint of epoch 3, then killed before another epoch ended.
    state = {
        "checkpoint": "epoch-0004.keras",
        "epoch": 4,
        "stage": 0,
        "monitor": "val_ap50",
        "best": 0.4,
        "best_epoch": 1,
    }
    with RunFolder(chosen.out).create(chosen) as folder:
        make_detector().save(folder.path("epoch-0004.keras"))
        folder.write_state({**state, "finished": False})
    Trainer(chosen, verbose=0).fit()
    assert [(call["from"], call["to"]) for call in fits] == [resumed]


def compiled(kitti, out, **options):
    options = {"split": "random", "fractions": (0.6, 0.2, 0.2), "progress": False} | options
    DataCompiler(KittiExtractor(kitti), (96, 160), **options).compile(out)
    return out


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_is_not_gone_on_with_on_other_data(small, small_kitti, tmp_path, fits, make_detector, ended):
    data = compiled(small_kitti, tmp_path / "a.h5")
    chosen = small(data, tmp_path / "run", stages=(Stage("head", 2),))
    folder = RunFolder(chosen.out)
    Trainer(chosen, verbose=0).fit()
    assert folder.read_state()["data"] == open_store(data).digest()
    if not ended:
        folder.write_state({**folder.read_state(), "epoch": 1, "finished": False})
    make_detector().save(folder.path("last.keras"))  # the record's own has an optimizer that was never used
    folder.log({"epoch": 5})
    fits.clear()

    # Other splits of the same images.
    data.unlink()
    compiled(small_kitti, data, seed=1)
    with pytest.raises(InputError, match="a.h5 with other contents than when .*run was started; expected the same"):
        Trainer(chosen, verbose=0).fit()
    assert not fits and len(folder.metrics()) == 1  # nothing was dropped from the log

    # The same file, compiled again.
    data.unlink()
    compiled(small_kitti, data)
    Trainer(chosen, verbose=0).fit()
    assert [(call["from"], call["to"]) for call in fits] == ([] if ended else [(1, 2)])


def test_a_state_from_before_digests_were_kept_is_accepted(small, small_h5, tmp_path, fits, make_detector):
    chosen = small(small_h5, tmp_path / "run", stages=(Stage("head", 2),))
    folder = RunFolder(chosen.out)
    Trainer(chosen, verbose=0).fit()
    state = folder.read_state()
    del state["data"]
    folder.write_state({**state, "epoch": 1, "finished": False})
    make_detector().save(folder.path("last.keras"))
    Trainer(chosen, verbose=0).fit()
    assert [(call["from"], call["to"]) for call in fits] == [(0, 2), (1, 2)]
    assert folder.read_state()["data"] == open_store(small_h5).digest()
