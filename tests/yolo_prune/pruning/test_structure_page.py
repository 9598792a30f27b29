"""What the levels of a structural pruning gain, and where they stand on the axes, by hand."""

import pytest

from yolo_prune.pruning import measuring, results, structure_page


def row(model, form, size, milliseconds):
    return {"model": model, "format": form, "bytes": size, "milliseconds": milliseconds}


@pytest.fixture
def measured():
    rows = [row("dense", "ONNX", 1200, 8.0), row("dense", "LiteRT", 1000, 6.0), row("dense", "packed", 300, None)]
    rows += [
        row("keep 0.5", "ONNX", 400, 5.0),
        row("keep 0.5", "LiteRT", 250, 2.0),
        row("keep 0.5", "packed", 100, None),
    ]
    return {"gains": measuring.gains(rows)}


def test_gains_are_against_the_dense_one_in_the_same_format(measured):
    found = {(each["model"], each["format"]): (each["smaller"], each["faster"]) for each in measured["gains"]}
    assert found["dense", "ONNX"] == (1, 1) and found["dense", "packed"] == (1, None)
    # 1200/400 and 8/5; 1000/250 and 6/2; 300/100, which nothing runs.
    assert found["keep 0.5", "ONNX"] == (3, 1.6)
    assert found["keep 0.5", "LiteRT"] == (4, 3)
    assert found["keep 0.5", "packed"] == (3, None)
    assert measuring.fastest(measured) == "LiteRT"
    assert measuring.rows(measured)[1][4:] == [
        ["keep 0.5", "LiteRT", "2.00 (3.00×)", "0.00 (4.00×)"],
        ["keep 0.5", "packed", "-", "0.00 (3.00×)"],
    ]
    assert measuring.fastest({"gains": [each for each in measured["gains"] if each["format"] == "packed"]}) is None


def entry(kind, level, macs, parameters):
    return {"kind": kind, "level": level, "macs": macs, "parameters": parameters, "seeds": [0]}


def test_axes_and_words(measured):
    result = {"method": "distinctiveness", "start": {"macs": 1000, "parameters": 50}, "measured": measured}
    result["runs"] = [{"kind": "pruned", "level": 0, "cut": {"keep": 0.5}}]
    pruned, control = entry("pruned", 0, 480, 1234), entry("l1", 0, 500, 999)
    macs, parameters, latency = structure_page._axes(result)
    assert (macs.value(pruned), parameters.value(pruned), latency.value(pruned)) == (48, 1234, 2.0)
    assert latency.value(control) is None and latency.label.endswith("LiteRT; dense 6")
    assert len(structure_page._axes({**result, "measured": None})) == 2
    assert results.amount_heads(result) == ["multiply-adds", "parameters"]
    assert results.amount(result, pruned) == "48 % of the multiply-adds"
    assert results._first(result, control) == ["l1", "50 %", "999", "1"]
    best = {**pruned, "class": "car", "split": "val", "tolerance": 0.02, "loss": 0.0}
    result |= {"splits": ["val", "test"], "classes": ["car"], "tolerance": 0.02, "chosen": best}
    told = {"test": {"car": {"difference": -0.011, "interval": [-0.02, 0.001]}}}
    result["levels"] = [{**pruned, "difference": told}]
    assert results.chosen_line(result) == (
        "The smallest network within 2 points of car AP50 of the dense model on val has 48 % of the multiply-adds, "
        "1,234 parameters; on test it stands at -0.011 [-0.020, +0.001]."
    )


def test_bars_show_every_layer_at_every_level():
    figure = structure_page.width_bars({"conv_1": 16, "conv_2": 32}, {"50 %": {"conv_1": 16, "conv_2": 8}})
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [16, 32, 16, 8]
