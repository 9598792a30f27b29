"""What is measured once, and when it is measured again."""

from prune_tools import comparison
from yolo_prune.pruning import measuring
from yolo_prune.pruning.measuring import measure
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import Subject


def test_what_was_left_out_is_measured_when_its_runtime_is_there(small_h5, small_model, tmp_path, monkeypatch):
    calls: list[list[str]] = []
    gone = {"onnx": "no_such_module"}

    def compare(models, runtimes, inputs):
        calls.append(list(models))
        return {"rows": [], "missing": dict(gone)}

    monkeypatch.setattr(comparison, "compare", compare)
    options = PruneConfig(model=small_model, data=small_h5, out=tmp_path, runtimes=("onnx",))
    subject, networks = Subject.of(options), {"pruned": small_model}
    first = measure(options, subject, networks)
    # Still not there: read again, not measured.
    assert measure(options, subject, networks) == first and calls == [["dense", "pruned"]]
    gone.clear()
    monkeypatch.setattr(measuring, "missing", lambda names: [])  # installed since
    assert measure(options, subject, networks)["missing"] == {} and len(calls) == 2
