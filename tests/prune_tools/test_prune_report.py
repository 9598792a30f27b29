"""The figures of a pruning, read back from their axes."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from prune_tools.report import Curve, sparsity_bars, tradeoff, weight_histograms


def drawn(figure):
    figure.canvas.draw()
    return figure.axes


def test_curves_with_bars_and_runs():
    curve = Curve("pruned", [50, 90], [0.5, 0.4], [(0.45, 0.52), None], [(90, 0.39), (90, 0.41)])
    other = Curve("random", [90], [0.1])
    axes = drawn(tradeoff({"car": [curve, other], "tram": [Curve("pruned", [50], [None])]}, "%", "AP50", {"car": 0.6}))
    car, tram = (axis for axis in axes if axis.get_visible())
    lines = {line.get_label(): line for line in car.get_lines()}
    assert lines["unpruned"].get_ydata() == pytest.approx([0.6, 0.6])
    np.testing.assert_array_equal(lines["pruned"].get_xydata(), [[50, 0.5], [90, 0.4]])
    np.testing.assert_array_equal(lines["random"].get_xydata(), [[90, 0.1]])
    (bar,) = [bars for bars in car.containers if hasattr(bars, "has_yerr")]
    low, high = bar[2][0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((0.45, 0.52))
    crosses = next(line for line in car.get_lines() if line.get_marker() == "x")
    np.testing.assert_array_equal(crosses.get_ydata(), [0.39, 0.41])
    assert not [line for line in tram.get_lines() if line.get_label() == "pruned"]


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("base", [{}, {"car": 0.6}])
def test_all_that_is_drawn_lies_inside_the_axes(logarithmic, base):
    curves = [
        Curve("pruned", [3e5, 6e6], [0.5, 0.4], [(0.2, 0.52), None], [(6e6, 0.1), (6e6, 0.7)]),
        Curve("random", [1e5], [0.3], [(0.25, 0.9)]),
    ]
    axis = drawn(tradeoff({"car": curves}, "weights", "AP50", base, logarithmic))[0]
    for x, y in [(3e5, 0.5), (3e5, 0.2), (6e6, 0.4), (6e6, 0.1), (6e6, 0.7), (1e5, 0.25), (1e5, 0.9), (3e5, 0.52)]:
        assert axis.bbox.contains(*axis.transData.transform((x, y))), (x, y)
    if base:
        assert axis.get_ylim()[0] < 0.6 < axis.get_ylim()[1]
    # And the axes are not much wider than that.
    sides = [(axis.bbox.x0 + part * axis.bbox.width, axis.bbox.y0) for part in (0.2, 0.8)]
    low, high = axis.transData.inverted().transform(sides)[:, 0]
    assert low > 1e5 and high < 6e6


@pytest.mark.parametrize("panels", [1, 2, 3])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_the_last_of_many_curves_lies_inside_the_axes(logarithmic, panels):
    curves = [Curve(str(index), [10, 40], [0.5, 0.4], [(0.4, 0.6), None]) for index in range(6)]
    figure = tradeoff({str(panel): curves for panel in range(panels)}, "degrees", "%", {}, logarithmic)
    FigureCanvasAgg(figure).draw()  # lays out
    for axis in figure.axes[:panels]:
        for line in axis.get_lines():
            for x, _ in line.get_transform().transform(line.get_xydata()):
                assert axis.bbox.x0 + 5 < x < axis.bbox.x1 - 5


def test_the_words_below_histograms_do_not_cover_each_other():
    kernels = {f"conv_{index}/kernel": np.linspace(-1, 1, 50) for index in range(6)}
    figure = weight_histograms(kernels, kernels)
    drawn(figure)
    (legend,) = figure.legends
    boxes = [legend.get_window_extent(), *(text.get_window_extent() for text in (figure._supxlabel, figure._supylabel))]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[i + 1 :])


def test_curves_at_one_level_stand_side_by_side():
    curves = [Curve(name, [90], [0.5], [(0.4, 0.6)], [(90, 0.5)]) for name in ("pruned", "random", "layer")]
    axis = drawn(tradeoff({"car": curves}, "%", "AP50"))[0]
    means, runs = ([line for line in axis.get_lines() if line.get_marker() == kind] for kind in "ox")
    assert all(line.get_xdata() == [90] for line in means + runs)  # moved on the paper, not in the data
    dots = 5 * axis.figure.dpi / 72
    exact = axis.transData.transform((90, 0.5))[0]
    places = [line.get_transform().transform((90, 0.5))[0] - exact for line in means]
    assert places == pytest.approx([0, dots, 2 * dots], abs=1e-6)
    assert [line.get_transform().transform((90, 0.5))[0] - exact for line in runs] == pytest.approx([-dots] * 3)
    bars = [part for group in axis.containers for part in group[2]]
    assert [part.get_transform().transform((90, 0.5))[0] - exact for part in bars] == pytest.approx(places, abs=1e-6)


def test_lines_without_bars_stand_at_their_levels():
    axis = drawn(tradeoff({"car": [Curve(name, [5, 30], [0.5, 0.4]) for name in ("a", "b", "c")]}, "degrees", "%"))[0]
    for line in axis.get_lines():
        np.testing.assert_allclose(
            line.get_transform().transform(line.get_xydata()), axis.transData.transform([(5, 0.5), (30, 0.4)])
        )


def test_bars_need_not_hold_the_mean():
    # All resamples may lie on one side of the figure: a bar from it to their far end, and no negative length.
    drawn(tradeoff({"car": [Curve("pruned", [1e6], [0.5], [(0.51, 0.53)])]}, "weights", "AP50", logarithmic=True))


def test_one_bar_a_kernel_and_level():
    axis = drawn(sparsity_bars({"50 %": {"conv_1/kernel": 0.1, "conv_2/kernel": 0.6}, "90 %": {
        "conv_1/kernel": 0.5, "conv_2/kernel": 0.95}}))[0]  # fmt: skip
    heights = [[patch.get_height() for patch in bars] for bars in axis.containers]
    assert heights == [pytest.approx([10, 60]), pytest.approx([50, 95])]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["conv_1", "conv_2"]
    places = sorted(patch.get_x() for bars in axis.containers for patch in bars)
    assert all(np.diff(places) > 0.3)  # none covers another


def test_histograms_leave_zeros_out():
    before = {"a/kernel": np.array([-1.0, -0.1, 0.1, 0.5])}
    axes = drawn(weight_histograms(before, {"a/kernel": np.array([-0.8, 0.0, 0.0, 0.4])}))
    assert axes[0].get_title() == "a: 50.0 % zero of 4"
    # A stepped histogram is a closed outline of vertices; its highest point is the fullest bin.
    assert len(axes[0].patches) == 2
    drawn(weight_histograms({"a/kernel": np.zeros(3)}, {"a/kernel": np.zeros(3)}))
