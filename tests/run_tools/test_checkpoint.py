"""Last and best checkpoints, and when a stage stops."""

import keras
import pytest

from run_tools import checkpoint
from run_tools.checkpoint import DIVERGED, Checkpoint, build_optimizer, finish, go_back, out_of_patience
from run_tools.errors import TrainingDiverged
from run_tools.folder import RunFolder


class Model:
    """Stands for a network: its file holds the number of the epoch that was saved."""

    def __init__(self):
        self.epoch = None
        self.stop_training = False

    def save(self, path):
        path.write_text(str(self.epoch))


def saver(root, **options):
    made = Checkpoint(RunFolder(root), **{"monitor": "val_ap50", "stage": 0, **options})
    made.set_model(Model())
    return made


def run(made, values, first=0):
    """One epoch a value; returns the number of epochs until it stopped."""
    for count, value in enumerate(values, start=1):
        made.model.epoch = first + count - 1
        made.on_epoch_end(made.model.epoch, {} if value is None else {made.monitor: value})
        if made.model.stop_training:
            return count
    return len(values)


def files(root):
    return {path.name: path.read_text() for path in root.glob("*.keras")}


def test_the_largest_ap_is_best(tmp_path):
    run(saver(tmp_path), [0.1, 0.3, 0.2, 0.3])
    assert files(tmp_path) == {"best.keras": "1", "epoch-0004.keras": "3"}
    expected = {"checkpoint": "epoch-0004.keras", "epoch": 4, "stage": 0, "monitor": "val_ap50"}
    assert RunFolder(tmp_path).read_state() == {**expected, "best": 0.3, "best_epoch": 1, "finished": False}


def test_the_digest_of_the_data_is_kept(tmp_path):
    run(saver(tmp_path, data="abc"), [0.1, 0.3])
    assert RunFolder(tmp_path).read_state()["data"] == "abc"
    finish(RunFolder(tmp_path))
    assert RunFolder(tmp_path).read_state()["data"] == "abc"


def test_the_smallest_loss_is_best(tmp_path):
    run(saver(tmp_path, monitor="val_loss"), [3.0, 1.0, 2.0, float("nan"), float("-inf")])
    assert files(tmp_path)["best.keras"] == "1"
    assert RunFolder(tmp_path).read_state()["best"] == 1.0


def test_epochs_without_validation_have_no_say(tmp_path):
    run(saver(tmp_path), [None, 0.2, None])
    assert files(tmp_path) == {"best.keras": "1", "epoch-0003.keras": "2"}


def test_the_best_is_remembered_over_a_restart(tmp_path):
    run(saver(tmp_path), [0.1, 0.5])
    run(saver(tmp_path, stage=1, start=2), [0.4, 0.45], first=2)
    assert files(tmp_path) == {"best.keras": "1", "epoch-0004.keras": "3"}
    assert RunFolder(tmp_path).read_state()["stage"] == 1


def test_patience_counts_epochs_since_the_best(tmp_path):
    # Best in epoch 1; epochs 2, 3 and 4 are no better: stopped after the fifth.
    assert run(saver(tmp_path, patience=3), [0.1, 0.5, 0.4, 0.3, 0.5, 0.6]) == 5


def test_a_stage_gets_its_own_patience(tmp_path):
    # Stage 1 was best in its epoch 1. Stage 2 begins at epoch 10 and may go 3 epochs (10, 11, 12) without a better one.
    run(saver(tmp_path), [0.1, 0.5])
    assert run(saver(tmp_path, stage=1, start=10, patience=3), [0.1] * 6, first=10) == 3


@pytest.mark.parametrize(
    "epoch, best, start, patience, expected",
    [(5, 1, 0, 3, True), (4, 1, 0, 3, False), (5, None, 0, 3, False), (50, 1, 0, None, False), (12, 1, 10, 3, False)]
    + [(13, 1, 10, 3, True), (14, 11, 10, 3, False), (15, 11, 10, 3, True)],
)
def test_patience_by_hand(epoch, best, start, patience, expected):
    # `epoch` epochs are done, so the last one has the number epoch − 1.
    assert out_of_patience({"epoch": epoch, "best_epoch": best}, start, patience) is expected


def test_a_kill_while_saving_leaves_a_matching_pair(tmp_path, monkeypatch):
    made = saver(tmp_path)
    run(made, [0.1, 0.2])

    class Killed(BaseException):
        pass

    def half(path):
        path.write_text("half")
        raise Killed

    # While the checkpoint is written …
    monkeypatch.setattr(made.model, "save", half)
    with pytest.raises(Killed):
        made.on_epoch_end(2, {})
    state = RunFolder(tmp_path).read_state()
    assert files(tmp_path)[state["checkpoint"]] == "1"
    assert "half" not in files(tmp_path).values()
    # … and after it, before the state: both checkpoints are there, and the state names the older.
    monkeypatch.undo()
    made.model.epoch = 2
    monkeypatch.setattr(RunFolder, "write_state", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        made.on_epoch_end(2, {})
    assert RunFolder(tmp_path).read_state() == state
    assert files(tmp_path)[state["checkpoint"]] == "1"


def test_the_last_checkpoint_gets_its_name_at_the_end(tmp_path):
    run(saver(tmp_path), [0.1, 0.2])
    for _ in range(2):
        finish(RunFolder(tmp_path))
        assert files(tmp_path) == {"best.keras": "1", checkpoint.LAST: "1"}
        state = RunFolder(tmp_path).read_state()
        assert (state["checkpoint"], state["finished"], state["epoch"]) == ("last.keras", True, 2)


def test_a_run_goes_back_once_to_each_checkpoint(tmp_path, capsys):
    folder, error = RunFolder(tmp_path), TrainingDiverged("loss = nan in epoch 2, batch 1", "finite losses", "look")
    with pytest.raises(TrainingDiverged) as caught:
        go_back(folder, error)
    assert caught.value is error and folder.read_state() is None
    run(saver(tmp_path), [0.1, 0.3])
    before = folder.read_state()
    go_back(folder, error)
    gone = {"2": "loss = nan in epoch 2, batch 1"}
    assert folder.read_state() == {**before, DIVERGED: gone}
    assert "loss = nan in epoch 2, batch 1; back to the checkpoint after epoch 2" in capsys.readouterr().out
    with pytest.raises(TrainingDiverged):
        go_back(folder, error)
    # What comes after it still knows; there it may go back again, once.
    run(saver(tmp_path), [0.2], first=2)
    later = TrainingDiverged("loss = inf in epoch 3, batch 0", "finite losses", "look")
    go_back(folder, later)
    with pytest.raises(TrainingDiverged):
        go_back(folder, later)
    finish(folder)
    assert folder.read_state()[DIVERGED] == {**gone, "3": "loss = inf in epoch 3, batch 0"}


def test_an_optimizer_is_built_once_under_loss_scaling_too():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), "mse")
    build_optimizer(model)
    names = [variable.path for variable in model.optimizer.variables]
    build_optimizer(model)
    assert [variable.path for variable in model.optimizer.variables] == names
    # Of Adam two for each of kernel and bias.
    assert sum(name.endswith(("momentum", "velocity")) for name in names) == 4
