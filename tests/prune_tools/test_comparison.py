"""The table of a model's exported forms, timed in processes of their own."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from prune_tools import comparison, latency, masks
from run_tools.errors import InputError


def network(sparsity):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
    hidden = keras.layers.Conv2D(32, 3, activation="relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(hidden)))
    chosen = masks.global_magnitude(model, sparsity)
    chosen.hold(model)
    chosen.release(model)
    return model


@pytest.fixture(scope="module")
def result():
    for module in ("ai_edge_litert", "onnxruntime", "tf2onnx", "zstandard"):
        pytest.importorskip(module, reason="the extra export")
    models = {"pruned": network(0.75), "dense": network(0.0)}
    return comparison.compare(models, ["litert,onnx", "compressed"], threads=1, rounds=3, calls=2)


@pytest.mark.slow
def test_one_row_a_form_of_each_model(result):
    rows = {(row["model"], row["format"]): row for row in result["rows"]}
    forms = ["LiteRT, dense", "LiteRT, sparse where it pays", "ONNX"]
    forms += ["compressed, 8-bit codebooks", "compressed, exact"]
    assert list(rows) == [(model, form) for model in ("pruned", "dense") for form in forms]
    for (model, form), row in rows.items():
        assert row["bytes"] > 0 and row["zip_bytes"] > 0 and row["precision"] == "float32"
        assert row["zeros_kept"] == (1.0 if model == "pruned" else None)
        stored = form.startswith("compressed")
        assert (row["milliseconds"] is None) == stored == (row["rounds"] is None)
        if not stored:
            assert row["milliseconds"] > 0 and len(row["rounds"]) == 3 and row["max_difference"] < 1e-4
    # Convolutions 3·3·3·16 + 16 and 3·3·16·32 + 32, head 32·2 + 2; round(.75 · (432 + 4,608)) zeros and no bias yet.
    assert result["models"]["pruned"]["parameters"] == 448 + 4640 + 66
    assert result["models"]["pruned"]["nonzero"] == 5040 - 3780 + 64
    assert rows["pruned", "LiteRT, sparse where it pays"]["bytes"] < rows["pruned", "LiteRT, dense"]["bytes"]
    assert rows["pruned", "compressed, exact"]["exact"] is True
    assert rows["pruned", "compressed, exact"]["bytes"] < rows["dense", "compressed, exact"]["bytes"]
    assert rows["dense", "LiteRT, dense"]["bytes"] == rows["dense", "LiteRT, sparse where it pays"]["bytes"]


def test_the_text_says_what_the_numbers_mean(result):
    shown = comparison.table(result)
    head, first = shown.splitlines()[:2]
    assert " ".join(head.split()) == "model format MB MB as zip median ms zeros kept bit for bit difference precision"
    assert first.startswith("pruned  LiteRT, dense") and "100%" in first and first.endswith("float32")
    assert "5,154 weights, 1,324 of them not zero" in shown
    assert "3 rounds of 2 calls in turns, batch 1, 1 threads, one process a runtime" in shown
    assert "make no network faster on CPUs and GPUs whose runtime has no sparse kernels" in shown


def test_a_runtime_that_is_not_there_is_left_out_and_said(monkeypatch):
    pytest.importorskip("zstandard", reason="the extra export")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = comparison.compare({"one": network(0.5)}, ["compressed", "onnx"], threads=1, rounds=1, calls=1)
    assert result["missing"] == {"onnx": "onnxruntime"} and len(result["rows"]) == 2
    assert "onnx: left out, no module onnxruntime (pip install 'prune-vision[export]')" in comparison.table(result)


def test_wrong_requests():
    with pytest.raises(InputError, match="unknown runtime 'tflite'; expected one of keras, saved_model, litert"):
        comparison.compare({"one": network(0.5)}, ["tflite"])
    with pytest.raises(InputError, match="no models"):
        comparison.compare({}, ["keras"])


def test_a_process_that_cannot_run_its_model_says_why(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra export")
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="a model that onnx cannot run"):
        latency.measure([latency.Contender("onnx", str(tmp_path / "m.onnx"))], {"x": np.ones(1)}, 1)


def test_a_process_that_hangs_is_ended_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "DEADLINE", 0.3)
    command = [sys.executable, "-c", "import time; time.sleep(300)"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        worker = latency._Worker("onnx", process, tmp_path / "errors.txt")
        with pytest.raises(InputError, match=r"onnx hung on: no answer for 0\.3 s"):
            worker.ask({"run": 0, "calls": 1})
        assert process.wait(10) != 0


def test_an_input_may_have_any_name(tmp_path):
    inputs = keras.Input((4,), name="file")
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "m.keras")
    contender = latency.Contender("keras", str(tmp_path / "m.keras"))
    told = latency.measure([contender], {"file": np.ones((1, 4), "float32")}, 1, rounds=1, calls=1, warm_up=0)
    assert told[0]["milliseconds"] > 0


def test_turns_change_their_order(monkeypatch):
    asked = []

    class Fake:
        def __init__(self, kind, inputs, threads):
            self.kind = kind

        def __enter__(self):
            return self

        def __exit__(self, *told):
            return None

        def ask(self, request):
            if "open" in request:
                return {"precision": None, "runtime": self.kind}
            asked.append(request["run"])
            return {"seconds": [0.002, 0.001, 0.004][: request["calls"]]}

    monkeypatch.setattr(latency, "_worker", Fake)
    contenders = [latency.Contender(kind, "") for kind in ("a", "b", "a")]
    told = latency.measure(contenders, {}, 1, rounds=2, calls=3)
    assert asked == [0, 1, 2, 0, 1, 2, 1, 2, 0]  # warm-up, then two rounds
    # Median of 1, 1, 2, 2, 4 and 4 ms is 2, the fastest 1.
    assert told[0] == {"milliseconds": 2, "fastest": 1, "rounds": [2, 2], "precision": None, "runtime": "a"}
