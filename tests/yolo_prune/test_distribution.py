"""Several processes that train one network on JAX: each reads its share, and together they do what one alone does."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from data_tools.augment import Augment
from data_tools.pipeline import batches
from run_tools import config
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from yolo_prune.distribution import Hosts
from yolo_prune.models import load_model
from yolo_prune.pruning.settings import Pruning
from yolo_prune.recipe import Stage
from yolo_prune.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_put_together_are_the_batches(small_h5, count):
    options = {"input_size": (64, 96), "augment": Augment(mosaic=0.5, mixup=0.3), "seed": 4}
    options |= {"sizes": ((64, 96), (96, 128)), "sizes_every": 1, "weights": np.linspace(0.1, 2, 38)[: boxes(small_h5)]}
    whole = batches(small_h5, "train", 6, **options)
    shares = [batches(small_h5, "train", 6, share=(index, count), **options) for index in range(count)]
    for epoch in (0, 1):
        for feed in (whole, *shares):
            feed.epoch = epoch
        for index in range(len(whole)):
            parts = [feed[index] for feed in shares]
            assert all(len(images) == 6 // count for images, _ in parts)
            for one, several in zip(whole[index], zip(*parts, strict=True), strict=True):
                np.testing.assert_array_equal(np.concatenate(several), one)
            assert all(feed.ids(index) == whole.ids(index) for feed in shares)


def boxes(h5):
    from data_tools.store import open_store

    return len(open_store(h5)["train"].all_boxes)


@pytest.mark.parametrize(
    "split, batch, limit, told",
    [
        ("train", 5, None, "received batches of 5 images for 2 processes"),
        ("val", 4, None, "a last, short batch among batches of 4"),  # not shuffled: the last one may be short
        ("train", 4, 3, "a last, short batch among batches of 4"),
    ],
)
def test_batches_that_cannot_be_shared(small_h5, split, batch, limit, told):
    with pytest.raises(InputError, match=told):
        batches(small_h5, split, batch, limit=limit, share=(0, 2))


def test_every_device_has_as_many_images():
    assert Hosts(1, 2, 4).share(8) == (1, 2)
    with pytest.raises(InputError, match="--batch-size 10 for 4 devices in 2 processes.*give --batch-size 8"):
        Hosts(1, 2, 4).share(10)
    with pytest.raises(InputError, match="give --batch-size 4"):
        Hosts(0, 2, 4).share(3)


@pytest.mark.parametrize("option", [{"prune": Pruning(sparsity=0.5)}, {"teacher": Path("wide.keras")}])
def test_what_is_no_work_for_several_hosts(small, small_h5, tmp_path, option):
    with pytest.raises(InputError, match=f"{next(iter(option))} with distribute multihost"):
        small(small_h5, tmp_path, distribute="multihost", **option)


def test_an_ablation_is_no_work_for_several_hosts(small_h5, tmp_path):
    from yolo_prune.ablation import plan
    from yolo_prune.options import AblateConfig

    with pytest.raises(InputError, match="distribute: multihost in baseline"):
        plan(AblateConfig(data=small_h5, out=tmp_path, base={"distribute": "multihost"}))


SCRIPT = """
import dataclasses, sys
from pathlib import Path
from data_tools.pipeline import Batches
from run_tools import config
from run_tools.callbacks import JsonLines
from run_tools.errors import InputError
from yolo_prune.recipe import TrainConfig
from yolo_prune.trainer import Trainer

index, several = int(sys.argv[2]), sys.argv[3] == "several"
chosen = config.load(TrainConfig, sys.argv[1])

def refused(**changes):
    try:
        Trainer(dataclasses.replace(chosen, **changes), verbose=0).fit()
    except InputError as error:
        return str(error)

if several:
    assert "other options, data or run folder in process 1" in refused(seed=index)
    told = refused(out=Path(sys.argv[1]))
    assert ("which is a file" if index == 0 else "an error in process 0") in told, told
    told = refused(batch_size=3)
    assert "--batch-size 3 for 2 devices in 2 processes" in told, told

read, make = [], Batches.__getitem__

def spied(self, number):
    batch = make(self, number)
    if self._samples.augment is not None:
        read.append(len(batch[0]))
    return batch

class CutOff(Exception):
    pass

log, whole = JsonLines.on_epoch_end, not several

def log_or_stop(self, epoch, logs=None):
    if epoch == 2 and not whole:
        raise CutOff
    log(self, epoch, logs)

Batches.__getitem__ = spied
JsonLines.on_epoch_end = log_or_stop
if several:  # cut off in the third epoch, begun again
    try:
        Trainer(chosen, verbose=0).fit()
        raise SystemExit("was not cut off")
    except CutOff:
        whole = True
told = Trainer(chosen, verbose=0).fit()
print("done", told["epochs"], told["best_epoch"], sorted(set(read)))
"""


def start(chosen, folder, index, port=None):
    """One process of a training, on a JAX of its own with one processor as its device."""
    folder.mkdir(exist_ok=True)
    path = folder / "config.yaml"
    if not path.exists():
        config.dump(chosen, path)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("KERAS_", "XLA_", "SLURM_"))}
    environment |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TMPDIR": str(folder)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    if port is not None:
        environment |= {"KERAS_DISTRIBUTION_JOB_ADDRESSES": f"localhost:{port}"}
        environment |= {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2", "KERAS_DISTRIBUTION_PROCESS_ID": str(index)}
    command = [sys.executable, "-c", SCRIPT, str(path), str(index), "one" if port is None else "several"]
    log = folder / f"log{index}"
    with log.open("w") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT), log


def said(process, log):
    process.wait(timeout=1100)
    return log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)  # three processes, which a busy machine gives few seconds of each minute
@needs_jax
def test_two_processes_train_like_one(small, small_h5, tmp_path):
    """Weights, metrics and log of two processes, cut off and resumed, are those of one that ran through.

    Eleven images in batches of four: validation, on the same images, has a last batch of three.
    """
    options = {"limit": 11, "optimizer": "sgd", "ema": 0.8, "augment": Augment(mosaic=0.5), "save_every": 2}
    options |= {"stages": (Stage("all", 3, 1e-2, warmup=2),)}
    alone = small(small_h5, tmp_path / "alone" / "run", **options)
    shared = dataclasses.replace(alone, out=tmp_path / "shared" / "run", distribute="multihost")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    running = [start(alone, tmp_path / "alone", 0)]
    running += [start(shared, tmp_path / "shared", index, port) for index in range(2)]
    try:
        one, *both = [said(*process) for process in running]
    finally:
        for process, _ in running:
            process.kill()
    assert one.splitlines()[-1] == f"done 3 {state(alone)['best_epoch']} [4]", one[-3000:]
    for text in both:
        assert text.splitlines()[-1] == f"done 3 {state(alone)['best_epoch']} [2]", text[-3000:]
    # One process wrote, and what the other wrote is gone.
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["config.yaml", "log0", "log1", "run"]
    assert {path.name for path in shared.out.iterdir()} == {path.name for path in alone.out.iterdir()}
    rows = [RunFolder(run.out).metrics() for run in (alone, shared)]
    assert [row["epoch"] for row in rows[1]] == [0, 1, 2]
    for mine, theirs in zip(*rows, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine.keys() - {"seconds", "stage"}:
            assert theirs[name] == pytest.approx(mine[name], rel=1e-3, abs=1e-5), name
    for name in ("best.keras", "last.keras"):
        weights = [load_model(run.out / name, compile=True) for run in (alone, shared)]
        for first, second in zip(*(values(model) for model in weights), strict=True):
            np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-5)


def state(chosen):
    return json.loads((chosen.out / "state.json").read_text())


def values(model):
    """Weights, and the optimizer's averages and momenta."""
    return [keras.ops.convert_to_numpy(value) for value in (*model.weights, *model.optimizer.variables)]


@pytest.mark.slow
@needs_jax
def test_without_a_cluster_it_says_how_to_start_one(small, small_h5, tmp_path):
    chosen = small(small_h5, tmp_path / "run", distribute="multihost")
    text = said(*start(chosen, tmp_path, 0))
    assert "KERAS_DISTRIBUTION_NUM_PROCESSES" in text and "expected a JAX cluster" in text, text[-2000:]
    assert not chosen.out.exists()


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="a JAX process needs a cluster first")
def test_the_options_are_told_before_anything_is_written(small, small_h5, tmp_path):
    with pytest.raises(InputError, match="--distribute multihost on the tensorflow backend"):
        Trainer(small(small_h5, tmp_path / "run", distribute="multihost")).fit()
    assert not (tmp_path / "run").exists()
