"""Whole and damaged image files; resizing against plain averages."""

import io

import cv2
import numpy as np
import pytest

from data_tools import image_files
from run_tools.errors import InputError

RNG = np.random.default_rng(1)


def write(path, image, *options):
    """Encode RGB pixels by the path's suffix."""
    cv2.imwrite(str(path), image[..., ::-1], list(options))
    return path


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (33, 64)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_size_comes_from_the_header(tmp_path, size, suffix):
    path = write(tmp_path / f"a.{suffix}", RNG.integers(0, 256, (*size, 3), np.uint8))
    assert image_files.read_size(path) == size
    assert image_files.read_rgb(path).shape == (*size, 3)


def test_png_gives_its_pixels_in_rgb(tmp_path):
    image = RNG.integers(0, 256, (9, 5, 3), np.uint8)
    np.testing.assert_array_equal(image_files.read_rgb(write(tmp_path / "a.png", image)), image)


@pytest.mark.parametrize(("level", "options"), [(None, ()), (1, (cv2.IMWRITE_PNG_COMPRESSION, 1))])
def test_an_encoded_png_is_the_file_that_opencv_writes(tmp_path, level, options):
    image = np.repeat(RNG.integers(0, 256, (40, 6, 3), np.uint8), 10, axis=1)
    assert image_files.encode_png(image, level) == write(tmp_path / "a.png", image, *options).read_bytes()


def test_grey_and_progressive_images_become_rgb(tmp_path):
    grey = RNG.integers(0, 256, (9, 5), np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    np.testing.assert_array_equal(image_files.read_rgb(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))
    path = write(tmp_path / "p.jpg", RNG.integers(0, 256, (40, 50, 3), np.uint8), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert image_files.read_size(path) == (40, 50)


def test_exif_rotation_is_not_applied(tmp_path):
    data = write(tmp_path / "a.jpg", np.zeros((20, 30, 3), np.uint8)).read_bytes()
    # A minimal EXIF block: big-endian TIFF with the one entry orientation (0x0112) = 6, "rotate by 90 degrees".
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    block = b"Exif\0\0" + tiff
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:])
    assert cv2.imread(str(path)).shape == (30, 20, 3)  # the tag does work
    assert image_files.read_rgb(path).shape == (20, 30, 3)
    assert image_files.read_size(path) == (20, 30)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("part", [0, 1, 7, 30, 0.3, 0.9, -1])
def test_every_cut_is_found(tmp_path, suffix, part):
    data = write(tmp_path / f"a.{suffix}", RNG.integers(0, 256, (60, 80, 3), np.uint8)).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(data[: int(part * len(data)) if isinstance(part, float) else part])
    for read in (image_files.read_size, image_files.read_rgb):
        with pytest.raises(InputError, match="cut off after|neither PNG nor JPEG|is empty") as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_damaged_png_chunk_is_found(tmp_path):
    data = bytearray(write(tmp_path / "a.png", RNG.integers(0, 256, (60, 80, 3), np.uint8)).read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "a.png").write_bytes(data)
    assert image_files.read_size(tmp_path / "a.png") == (60, 80)  # only header and end are looked at
    with pytest.raises(InputError, match="wrong checksum"):
        image_files.read_rgb(tmp_path / "a.png")


def test_a_png_that_lost_its_middle_is_found(tmp_path):
    data = write(tmp_path / "a.png", RNG.integers(0, 256, (60, 80, 3), np.uint8)).read_bytes()
    (tmp_path / "a.png").write_bytes(data[:400] + data[-12:])
    with pytest.raises(InputError, match="cut off after 412 bytes"):
        image_files.read_rgb(tmp_path / "a.png")


def test_other_files_are_named(tmp_path):
    (tmp_path / "a.png").write_text("a text, not an image")
    with pytest.raises(InputError, match="neither PNG nor JPEG"):
        image_files.read_size(tmp_path / "a.png")
    with pytest.raises(InputError, match="cannot be read"):
        image_files.read_rgb(tmp_path / "missing.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x04ab\xff\xd9" + bytes(20))
    with pytest.raises(InputError, match="without a size in its JPEG header"):
        image_files.read_size(tmp_path / "b.jpg")


def test_jpeg_header_with_padding_and_restart_markers():
    # start, padded marker of a 2-byte comment, then a frame header: length 11, 8 bits, height 5, width 6
    data = b"\xff\xd8\xff\xff\xfe\0\x04ab\xff\xc2\0\x0b\x08\0\x05\0\x06"
    assert image_files._jpeg_size(io.BytesIO(data)) == (5, 6)


def test_shrinking_averages_whole_areas():
    # 4x4 to 2x2: each result is the mean of a 2x2 block, here (0+2+4+6)/4 = 3 and so on
    image = np.array([[0, 2, 10, 10], [4, 6, 10, 10], [1, 1, 100, 200], [1, 1, 100, 200]], np.uint8)
    found = image_files.resize(np.repeat(image[..., None], 3, 2), (2, 2))
    assert found[..., 0].tolist() == [[3, 10], [1, 150]]


def test_a_side_that_shrinks_is_averaged_even_when_the_other_grows():
    # 1x9 to 2x3: columns are means of three, rows repeat. One call of INTER_AREA would take every third column.
    row = np.array([0, 3, 6, 90, 90, 90, 10, 20, 30], np.uint8)
    found = image_files.resize(np.repeat(row[None, :, None], 3, 2), (2, 3))
    assert found[..., 1].tolist() == [[3, 90, 20], [3, 90, 20]]


def test_growing_interpolates_and_same_size_changes_nothing():
    # 1x2 to 1x4 with pixel centres: 0, 25, 75, 100
    row = np.repeat(np.array([0, 100], np.uint8)[None, :, None], 3, 2)
    assert image_files.resize(row, (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]
    image = RNG.integers(0, 256, (6, 7, 3), np.uint8)
    np.testing.assert_array_equal(image_files.resize(image, (6, 7)), image)
