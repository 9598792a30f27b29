"""Numbers and pictures of a compiled file, against counts by hand."""

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data_tools import DataCompiler, KittiExtractor, open_store, plots, stats


@pytest.fixture
def store(make_kitti, tmp_path):
    """20 images of 64x32, stored at 128x64: 20 Cars of 41x40, 10 Pedestrians of 17x48, 7 DontCare."""
    DataCompiler(KittiExtractor(make_kitti(20)), (64, 128), progress=False).compile(tmp_path / "a.h5")
    return open_store(tmp_path / "a.h5")


def test_counts_and_spreads(store):
    described = stats.describe(store)
    assert described["image_size"] == [64, 128]
    splits = described["splits"].values()
    assert sum(split["boxes"]["Car"] for split in splits) == 20
    assert sum(split["boxes"]["DontCare"] for split in splits) == 7
    assert sum(split["occluded"].get("2", 0) for split in splits) == 10
    assert sum(split["truncated"]["below half"] for split in splits) == 10
    assert sum(split["truncated"]["no"] for split in splits) == 20
    train = described["splits"]["train"]
    assert train["original_sizes"] == {"64x32": 16}
    assert train["height"]["p0"] == 40 and train["height"]["p100"] == 48
    assert train["height_by_class"]["Pedestrian"]["mean"] == 48 and train["height_by_class"]["Tram"] is None
    # each image: one Car, and a Pedestrian where the id is even
    view = store["train"]
    assert train["boxes_per_image"]["mean"] == pytest.approx(np.mean([1 + (int(i) % 2 == 0) for i in view.ids]))
    assert train["empty_images"] == 0 and train["groups"] is None


def test_sizes_of_chosen_classes(store):
    np.testing.assert_allclose(np.unique(stats.sizes(store["train"], (3,)), axis=0), [[17, 48]])
    assert stats.sizes(store["train"], (6,)).shape == (0, 2)


def test_images_without_objects_are_counted(make_kitti, tmp_path):
    root = make_kitti(6)
    for path in (root / "training" / "label_2").iterdir():
        path.write_text("")
    DataCompiler(KittiExtractor(root), (32, 64), progress=False).compile(tmp_path / "e.h5")
    store = open_store(tmp_path / "e.h5")
    train = stats.describe(store)["splits"]["train"]
    assert train["empty_images"] == train["images"] == 4 and train["height"] is None
    assert len(plots.write_plots(store, tmp_path / "plots")) == 9


def test_plots_are_pictures(store, tmp_path):
    written = plots.write_plots(store, tmp_path / "new" / "plots")
    names = [
        "height",
        "width",
        "aspect",
        "classes",
        "occluded",
        "truncated",
        "images_train",
        "images_val",
        "images_test",
    ]
    assert written == [str(tmp_path / "new" / "plots" / f"{name}.png") for name in names]
    for path in written:
        assert cv2.imread(path).std() > 5  # not blank
    assert len(list((tmp_path / "new" / "plots").iterdir())) == 9  # no temporary files


def test_the_legend_of_counts_hides_no_bar():
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    plots.bars(axes, [{"a": 30, "b": 30}, {"a": 3, "b": 3}], ("train", "val"), "class")
    FigureCanvasAgg(figure).draw()
    # Its own edge may lie on the axes' edge, no more.
    assert axes.get_legend().get_window_extent().x0 >= axes.bbox.x1 - 0.5
    assert {"1", "10"} <= {label.get_text() for label in axes.get_yticklabels()}


def test_boxes_are_drawn_where_they_are():
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = plots.draw_boxes(image, np.array([[10, 15, 30, 35]]), np.array([1]), ("a", "b"))
    assert not image.any()
    for y, x in ((15, 20), (34, 20), (25, 10), (25, 29)):
        assert drawn[y, x].tolist() == list(plots.COLOURS[1])
    assert not drawn[20:30, 15:25].any() and not drawn[36:].any()
    grey = plots.draw_boxes(image, np.array([[10, 15, 30, 35]]), np.array([-1]), ("a", "b"))
    assert grey[25, 10].tolist() == list(plots.IGNORED_COLOUR)


def test_contact_sheet_is_a_grid(store):
    # 16 train images, 12 shown in 4 columns of 128x64
    assert plots.contact_sheet(store["train"], store.class_names).shape == (3 * 64, 4 * 128, 3)
    # 2 val images in one row: blank tiles fill it
    sheet = plots.contact_sheet(store["val"], store.class_names)
    assert sheet.shape == (64, 4 * 128, 3) and (sheet[:, 256:] == 255).all()
