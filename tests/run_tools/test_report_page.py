from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest

from run_tools.errors import InputError
from run_tools.report import Report, check_folder

VOID = {"meta", "img", "br", "link"}


class Checker(HTMLParser):
    """Collects tags, and complains about ends that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def pictures(page: str) -> list[tuple[str, np.ndarray]]:
    """(kind, RGB array) of each picture in the page."""
    found = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', page)
    decoded = [(kind, cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1)) for kind, data in found]
    return [(kind, image[..., ::-1]) for kind, image in decoded]


def test_everything_is_escaped() -> None:
    evil = "<script>alert('x')</script> & \"quoted\""
    report = Report(evil, evil)
    report.section(evil)
    report.section("two")
    report.text(evil + "\n\n- " + evil)
    report.code(evil)
    report.table([evil], [[evil]], evil)
    report.image(np.zeros((2, 2, 3), np.uint8), evil)
    page = report.html()
    checker = Checker(page)
    assert "script" not in {tag for tag, _ in checker.tags}
    assert page.count("&lt;script&gt;") >= 10
    image = next(attributes for tag, attributes in checker.tags if tag == "img")
    assert image["alt"] == evil


def test_the_page_needs_nothing_from_outside() -> None:
    report = Report("t")
    report.image(np.zeros((2, 2, 3), np.uint8))
    page = report.html()
    assert "http" not in page
    for tag, attributes in Checker(page).tags:
        assert tag != "link"
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert "prefers-color-scheme: dark" in page and 'name="viewport"' in page


def test_contents_link_to_the_sections() -> None:
    report = Report("t")
    report.section("Only one")
    assert "<nav" not in report.html()
    report.section("Second")
    tags = Checker(report.html()).tags
    links = [str(attributes["href"]) for tag, attributes in tags if tag == "a"]
    assert links == [f"#{attributes['id']}" for tag, attributes in tags if tag == "h2"]
    assert len(set(links)) == 2


def test_text_has_paragraphs_items_and_code() -> None:
    report = Report("t")
    report.text("one\nline\n\n- a `b<c`\n- d")
    page = report.html()
    assert "<p>one line</p>" in page
    assert "<ul><li>a <code>b&lt;c</code></li><li>d</li></ul>" in page


def test_table_cells() -> None:
    report = Report("t")
    rows = [["car", 0.123456, 1234567, None, True], ["bus", np.float32(2), np.int64(-3), 1.5, np.bool_(False)]]
    report.table(["class", "AP", "count", "gap", "flag"], rows)
    page = report.html()
    # Four significant digits: 0.123456 -> 0.1235. Only the first and the last column hold words.
    expected = [
        "<td>car</td><td class=number>0.1235</td><td class=number>1,234,567</td><td class=number>–</td><td>yes</td>",
        "<td>bus</td><td class=number>2</td><td class=number>-3</td><td class=number>1.5</td><td>no</td>",
    ]
    for row in expected:
        assert f"<tr>{row}</tr>" in page
    assert page.count("<th scope=") == 5
    Checker(page)


def test_no_line_break_parts_a_figure_from_what_belongs_to_it() -> None:
    report = Report("t")
    rows = [["-", "0.5 ± 0.002", "-0.04 [-0.06, -0.02]"], ["3", "a ± b", "90 %"]]
    report.table(["seeds", "spread", "interval"], rows)
    page = report.html()
    # An interval may stand below its figure, but in one piece. Dashes stand among numbers.
    assert "<tr><td class=number>-</td><td>0.5\u00a0±\u00a00.002</td><td>-0.04 [-0.06,\u00a0-0.02]</td></tr>" in page
    assert "<tr><td class=number>3</td><td>a ± b</td><td>90\u00a0%</td></tr>" in page


def test_a_heading_of_one_word_is_not_parted() -> None:
    report = Report("t")
    report.table(["non-zero", "run folder", "best"], [[1, "a", "b"]])
    head = '<th scope="col" class="number word">non-zero</th><th scope="col">run folder</th>'
    assert f'{head}<th scope="col" class=word>best</th>' in report.html()


def test_table_without_rows_and_with_a_wrong_one() -> None:
    report = Report("t")
    report.table(["a", "b"], [])
    Checker(report.html())
    with pytest.raises(ValueError, match="1 cells; expected 2"):
        report.table(["a", "b"], [[1]])


def test_small_images_keep_every_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    grey = image[..., 0]
    report = Report("t")
    report.image(image)
    report.image(grey)
    report.image(image[:, ::-1])  # not contiguous
    (kind, colour), (_, shown_grey), (_, turned) = pictures(report.html())
    assert kind == "png"
    np.testing.assert_array_equal(colour, image)
    np.testing.assert_array_equal(shown_grey[..., 0], grey)
    np.testing.assert_array_equal(turned, image[:, ::-1])


def test_large_images_become_jpeg_with_red_still_red() -> None:
    image = np.zeros((375, 1242, 3), np.uint8)
    image[..., 0] = 255
    report = Report("t")
    report.image(image)
    ((kind, shown),) = pictures(report.html())
    assert kind == "jpeg" and shown.shape == image.shape
    assert np.abs(shown.astype(int) - image).max() <= 3


@pytest.mark.parametrize("image", [np.zeros((2, 2, 3)), np.zeros((2, 2, 4), np.uint8), np.zeros(3, np.uint8)])
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        Report("t").image(image)


def test_figures(tmp_path: Path) -> None:
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([1, 2])
    report = Report("t")
    report.figure(figure, "A curve")
    plt.close(figure)
    report.write(tmp_path / "made" / "report.html")
    page = (tmp_path / "made" / "report.html").read_text(encoding="utf-8")
    assert "<figcaption>A curve</figcaption>" in page
    ((kind, shown),) = pictures(page)
    assert kind == "png" and tuple(shown[0, 0]) == (255, 255, 255)  # white paper
    with pytest.raises(InputError, match="which is a folder"):
        report.write(tmp_path)


def test_a_folder_for_a_page_may_be_new_there_or_unwanted_but_no_file(tmp_path):
    (tmp_path / "file").touch()
    for out in (None, tmp_path, tmp_path / "new" / "page"):
        check_folder(out)
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="file, which is a file; expected a folder"):
        check_folder(tmp_path / "file")
    with pytest.raises(InputError, match="--pictures .*file, which is a file"):
        check_folder(tmp_path / "file", "--pictures")
