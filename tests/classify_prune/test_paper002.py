"""Paper 002 on a few short vectors; pruning after every epoch against its definition."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from classify_prune import cli, mlp
from classify_prune.papers import registry
from classify_prune.papers.paper002 import page, published
from classify_prune.papers.paper002.claims import claims
from classify_prune.papers.paper002.cumulative import CumulativeTrainer, PruneAfterEpochs
from classify_prune.papers.paper002.networks import SPLITS
from classify_prune.papers.paper002.settings import Settings
from classify_prune.recipe import TrainConfig
from data_tools.store import open_store
from run_tools import config, files

CONFIGS = Path(__file__).resolve().parents[2] / "configs/paper002"
TINY = [
    *("--epochs", "4", "--long-epochs", "5", "--batch-size", "12", "--hidden", "8", "--amounts", ".2"),
    *("--structured", ".5", "--tune-epochs", "1", "--cluster-seeds", "0", "1", "--iterations", "2", "4"),
    *("--fuzziness", "1.7", "30", "--population", "4", "--generations", "2", "--search-sample", "30"),
]


def run(data, out, *more):
    return cli.main(["paper", "002", "--data", str(data), "--out", str(out), *TINY, *more])


@pytest.fixture(scope="module")
def finished(features_h5, tmp_path_factory):
    out = tmp_path_factory.mktemp("papers") / "paper002"
    assert run(features_h5, out) == 0
    return out


def smallest_gone(kernel, kept, count):
    """Plain version: the `count` living weights of smallest magnitude, one after the other."""
    kept = kept.copy()
    for _ in range(count):
        living = [(abs(kernel[place]), place) for place in np.ndindex(kernel.shape) if kept[place]]
        kept[min(living)[1]] = False
    return kept


@pytest.mark.parametrize("reading", ["of_remaining", "of_total"])
def test_pruning_after_epochs_is_the_definition(reading):
    rng = np.random.default_rng(0)
    model = mlp(6, 3, widths=(5,), dropout=0.0)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((keras.ops.convert_to_numpy(kernel), logs["sparsity"]))
    )
    before = []
    first = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: before.append(keras.ops.convert_to_numpy(kernel))
    )
    kernel = model.get_layer("dense_1").kernel
    data = (rng.normal(size=(20, 6)).astype(np.float32), rng.integers(0, 3, 20))
    pruning = PruneAfterEpochs(0.2, reading, ("dense_1",))
    model.fit(*data, epochs=3, batch_size=5, verbose=0, callbacks=[first, pruning, watch])
    # 30 weights: a fifth of all is 6; of what remains 6 of 30, then round(4.8) = 5 of 24, then round(3.8) = 4 of 19.
    counts = {"of_total": [6, 0, 0], "of_remaining": [6, 5, 4]}[reading]
    kept, gone = np.ones((6, 5), bool), 0
    for learnt, (left, told), count in zip(before, seen, counts, strict=True):
        kept, gone = smallest_gone(learnt, kept, count), gone + count
        np.testing.assert_array_equal(left != 0, kept)
        assert told == pytest.approx(gone / 30)
    output = model.get_layer("logits").kernel
    assert np.count_nonzero(keras.ops.convert_to_numpy(output)) == 15  # the output layer is left alone


def test_a_pruned_training_that_was_cut_off_ends_the_same(features_h5, tmp_path):
    def trainer(name):
        config = TrainConfig(
            data=features_h5, out=tmp_path / name, network="mlp", widths=(6,), dropout=0.0, epochs=4, batch_size=8,
            learning_rate=0.01, patience=None, images_every=1000,
        )  # fmt: skip
        return CumulativeTrainer(config, PruneAfterEpochs(0.2, "of_remaining", ("dense_1",)))

    whole = trainer("whole")
    whole.fit()
    cut = trainer("cut")

    def stop(epoch, logs):
        if epoch == 2:
            raise RuntimeError("cut off")

    callbacks = cut._callbacks
    # Last, so that two epochs are saved and the third is not begun.
    breaking = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    cut._callbacks = lambda *given: [*callbacks(*given), breaking]
    with pytest.raises(RuntimeError):
        cut.fit()
    again = trainer("cut")
    again.fit()
    for one, other in zip(whole.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))
    kernel = keras.ops.convert_to_numpy(again.model.get_layer("dense_1").kernel)
    # 36 weights: 36 − 7 = 29, − round(5.8) = 23, − round(4.6) = 18, − round(3.6) = 14.
    assert np.count_nonzero(kernel) == 14


def test_result(finished, features_h5):
    result = json.loads((finished / "result.json").read_text())
    seed = result["seeds"]["0"]
    assert result["identity"] == {"task": "vehicle", "classes": 8} and result["vectors"]["width"] == 6
    assert set(seed["base"]) == {"4", "5"} and len(seed["base"]["5"]["curve"]) == 5
    # 6 × 8 weights: of all 10 and 24; of what remains 48 → 38 → 30 → 24 → 19 living.
    zeros = {reading: seed["cumulative"][reading]["0.2"]["kernels"]["dense_1"] * 48 for reading in seed["cumulative"]}
    assert zeros == pytest.approx({"of_total": 10, "of_remaining": 29, "random": 10})
    assert seed["cumulative"]["random"]["0.2"]["kernels"]["logits"] == 0
    for rule in ("distinctiveness", "random units"):
        assert seed["structured"][rule]["0.5"]["after"]["units"] == [4]
        assert seed["structured"][rule]["0.5"]["after"]["parameters"] < seed["base"]["4"]["parameters"]
    assert len(result["clusters"]["paper"]["rows"]) == 2 * 2 * 2 and sum(result["types"].values()) == 16
    chosen = result["choices"]
    counts = {name: found["run"]["features"] for name, found in chosen.items()}
    assert counts["all features"] == 6 and counts["as many at random"] == counts["genetic, paper"]
    assert chosen["genetic, paper"]["selection"]["population"] == 10
    assert len(chosen["genetic, linear probe"]["selection"]["history"]) == 3
    store = open_store(features_h5)
    task = store.task("vehicle")
    most = task.counts("train").argmax()
    assert result["baselines"]["majority"]["test"] == pytest.approx((task.labels["test"] == most).mean())
    assert result["baselines"]["linear probe"]["train"] > 0.4
    assert len(result["claims"]) == 3 and all(
        set(claim) == {"claim", "published", "ours"} for claim in result["claims"]
    )


def test_an_amount_that_the_paper_lacks_is_beside_none_of_its_numbers(finished):
    result = json.loads((finished / "result.json").read_text())
    printed = claims(result)[0]["published"]
    result["settings"]["amounts"] = [0.7]
    for each in result["seeds"]["0"]["cumulative"].values():
        each["0.7"] = each["0.2"]
    assert printed == "4.11 → 5.39 %" and claims(result)[0]["published"] == "not given"


def test_tables_hold_what_was_found(finished):
    result = json.loads((finished / "result.json").read_text())
    ours = page.table4(result, "of_total")["0.2"]
    judged = files.read_json(finished / "seed-0/of_total-20/judged.json")
    assert ours == [[judged[split]["accuracy"]] for split in SPLITS]
    rows = [row for row in result["clusters"]["paper"]["rows"] if row["fuzziness"] == 1.7 and row["iterations"] == 4]
    assert page.table5(result)["4"][1] == [row["train"]["hungarian"] for row in rows] and len(rows) == 2
    assert list(page.table6(result)) == ["1.7", "30"]
    assert page.table2(result)["4"] == [[row["silhouette"] for row in rows]]


def test_report(finished, capsys):
    html = (finished / "report.html").read_text()
    words = ("of what remains", "Fig. 1: ", "Fig. 3", "nearest centroid", "distinctiveness")
    for told in ("95.3", "12.63", "-0.02647", *words):
        assert told in html, told
    assert html.count("<figure>") == 6
    for reading in published.READINGS:
        assert reading.where in html
    result = json.loads((finished / "result.json").read_text())
    result["clusters"]["paper"]["rows"][0]["collapsed"] = True
    assert "of 8 clusterings all centres are one point" in page.text(result)


def test_what_is_done_is_not_run_again(finished, features_h5):
    kept = {
        path: path.stat().st_mtime_ns for path in [*finished.glob("seed-0/**/*.keras"), *finished.glob("clusters/*")]
    }
    assert len(kept) > 12
    before = json.loads((finished / "result.json").read_text())
    assert run(features_h5, finished) == 0
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    after = json.loads((finished / "result.json").read_text())
    assert {**after, "seconds": 0} == {**before, "seconds": 0}


def test_images_without_weights_are_one_line(images_h5, tmp_path, capsys):
    assert run(images_h5, tmp_path / "run", "--backbone", "squeezenet") == 2
    assert "--backbone squeezenet without --feature-weights" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["vehiclex", "crops", "studio"])
def test_configs_say_what_to_type_and_hold_only_options(name):
    path = CONFIGS / f"{name}.yaml"
    head = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert f"classify-prune paper 002 --config configs/paper002/{name}.yaml --data " in head
    assert "xpected" in head and "uration" in head
    made = registry.settings_of(config.load(registry.options_of("002"), path, data="d.h5", out="o"))
    # The paper's own numbers, whatever the data.
    paper = Settings()
    for same in (
        "epochs",
        "long_epochs",
        "batch_size",
        "learning_rate",
        "amounts",
        "fuzziness",
        "iterations",
        "layers",
    ):
        assert getattr(made, same) == getattr(paper, same)


def test_quick_is_smaller():
    quick = Settings(seeds=(3, 4)).quick()
    assert (quick.epochs, quick.long_epochs, quick.seeds) == (10, 30, (3,))
    assert quick.fuzziness == Settings().fuzziness and quick.amounts == Settings().amounts
