"""Cfgs that are not of the family or not right: one line that names the place; and files of the wrong size."""

import pytest

from run_tools.errors import InputError
from tests.yolo_prune import darknet_reference as reference
from yolo_prune import darknet
from yolo_prune.darknet.cfg import with_size, with_widths

GOOD = reference.net(32, 32) + reference.conv(4) + reference.pool() + reference.head("1,1.5, 2,1", 1)
# Lines: 1 [net], 9 [convolutional] … 15 activation=leaky, 17 [maxpool], 21 [convolutional], 28 [region], 29 anchors.


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[maxpool]", "[shortcut]", "net.cfg, line 17: [shortcut]; expected [convolutional], [maxpool], [route]"),
        ("[maxpool]", "[yolo]", "line 17: [yolo]"),
        ("[maxpool]", "[region]", "line 17: [region]; expected"),
        ("[region]", "[detection]", "line 28: [detection]"),
        (GOOD[GOOD.index("[region]") :], "", "net.cfg without [region] at its end"),
        (GOOD[GOOD.index("[convolutional]") :], "", "net.cfg without [region] at its end"),
        ("[net]", "[convolutional]", "does not begin with [net]"),
        ("[net]\n", "", "line 2: 'batch=1'"),
        ("width=32", "widht=32", "line 5: widht=32 in [net]; expected an option known there"),
        ("width=32\n", "", "line 1: [net] without width"),
        ("channels=3\n", "", "line 1: [net] without channels"),
        ("width=32", "width=0", "line 5: width=0 in [net]; expected a whole number of at least 1"),
        ("size=3\n", "size=3.5\n", "size=3.5 in [convolutional]"),
        ("size=3\n", "size=50\npad=0\n", "size=50 in [convolutional] on 32x32"),
        ("batch_normalize=1\n", "batch_normalize=1\ngroups=2\n", "groups=2 in [convolutional]; expected groups=1"),
        ("batch_normalize=1\n", "batch_normalize=1\nnovelty=1\n", "novelty=1 in [convolutional]"),
        ("activation=leaky", "activation=mish", "line 15: activation=mish in [convolutional]; expected activation="),
        ("activation=leaky\n", "", "[convolutional] without activation (which means logistic)"),
        ("size=2\nstride=2", "size=3\nstride=2", "line 18: size=3 in [maxpool] on 32x32"),
        ("stride=2\n", "stride=2\nstride2\n", "line 20: 'stride2'; expected [section], name=value"),
        ("stride=2\n", "stride=\n", "line 19: 'stride='"),
        ("[maxpool]\nsize=2\nstride=2", "[route]\nlayers=1", "line 18: layers=1 in [route]; expected layers before"),
        ("[maxpool]\nsize=2\nstride=2", "[route]\nlayers=-2", "layers=-2 in [route]"),
        ("[maxpool]\nsize=2\nstride=2", "[route]", "line 17: [route] without layers"),
        ("[maxpool]\nsize=2\nstride=2", "[reorg]\nstride=3", "line 17: [reorg] of 32x32 with 4 channels"),
        ("stride=2\n", "stride=2\n\n[route]\nlayers=-1,-2\n", "layers=-1,-2 in [route] of 16x16 and 32x32"),
        ("[maxpool]\nsize=2\nstride=2", "[maxpool]\n[route]\nlayers=0", "line 17: [maxpool]; expected layers that"),
        ("softmax=1", "softmax=0", "softmax=0 in [region]; expected softmax=1"),
        ("softmax=1\n", "", "[region] without softmax"),
        ("softmax=1\n", "softmax=1\ntree=9k.tree\n", "tree=9k.tree in [region]"),
        ("coords=4", "coords=5", "coords=5 in [region]; expected coords=4"),
        ("anchors = 1,1.5, 2,1", "anchors = 1,1.5, 2", "line 29: anchors=1,1.5,2 in [region]; expected 4 numbers"),
        ("anchors = 1,1.5, 2,1", "anchors = 1,1.5, 2,-1", "expected 4 numbers above 0"),
        ("anchors = 1,1.5, 2,1", "anchors = 1,1.5, 2,one", "numbers with commas"),
        ("classes=1", "classes=2", "line 28: [region] after 12 channels; expected 2 anchors x (5 + 2 classes) = 14"),
    ],
)  # fmt: skip
def test_a_wrong_place_is_named(old, new, told):
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        darknet.parse(GOOD.replace(old, new, 1), "net.cfg")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_what_darknet_lets_pass():
    plain = darknet.parse(GOOD)
    free = GOOD.replace("[convolutional]", "[conv]").replace("size=3", " size\t= 3\r").replace("[maxpool]", "[max]")
    free = free.replace("filters=4\n", "filters=4\nfilters=9\n; the first counts\n").replace("[net]", "[network]")
    found = darknet.parse("\n" + free + "\n\n")
    assert [layer.shape for layer in found.layers] == [layer.shape for layer in plain.layers]
    # Without size a pool has that of its stride.
    short = darknet.parse(GOOD.replace("size=2\n", "", 1))
    assert [layer.shape for layer in short.layers] == [(32, 32, 4), (16, 16, 4), (16, 16, 12)]


def test_remarks_behind_numbers_are_passed_over_as_by_atoi():
    told = GOOD.replace("width=32", "width = 32 # of VOC", 1).replace("filters=4\n", "filters=4;few\n", 1)
    told = told.replace("anchors = 1,1.5, 2,1", "anchors = 1,1.5, 2,1 # in cells")
    found = darknet.parse(told)
    assert found.image == (32, 32, 3) and found.layers[0].shape == (32, 32, 4)
    assert found.region.anchors == ((1.0, 1.5), (2.0, 1.0))
    # Other sizes and widths leave the remarks where they are.
    assert "width = 64 # of VOC" in with_size(found, (32, 64)) and "filters=6;few" in with_widths(found, [6])
    # A word is compared as a whole, in darknet too, which would take another activation.
    with pytest.raises(InputError, match="activation=leaky#x"):
        darknet.parse(GOOD.replace("activation=leaky", "activation=leaky # x"))


@pytest.fixture
def files(tmp_path):
    weights = reference.random_weights(GOOD)
    (tmp_path / "net.cfg").write_text(GOOD)
    (tmp_path / "net.weights").write_bytes(weights)
    return tmp_path / "net.cfg", tmp_path / "net.weights", weights


# 4 · (3 · 9 + 4) + 12 · (4 + 1) = 184 numbers of 4 bytes, and a header of 20 (or 16).
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data[:-1], "net.weights of 755 bytes; expected 756 bytes, 20 of a header and 184 numbers"),
        (lambda data: data[:-4], "of 752 bytes; expected 756 bytes"),
        (lambda data: data + bytes(4), "of 760 bytes; expected 756 bytes"),
        (lambda data: data[:400], "of 400 bytes; expected 756 bytes"),
        (lambda data: data[:20], "of 20 bytes; expected 756 bytes"),
        (lambda data: data[:7], "of 7 bytes; expected 756 bytes"),
        (lambda data: b"", "of 0 bytes; expected 756 bytes"),
        # Version 0.1 has a header of 16 bytes: of the same file, 4 bytes are too many.
        (lambda data: bytes(4) + b"\1" + data[5:], "of 756 bytes; expected 752 bytes, 16 of a header"),
    ],
)
def test_files_of_another_size(files, spoil, told):
    cfg, path, data = files
    path.write_bytes(spoil(data))
    with pytest.raises(InputError) as caught:
        darknet.load(cfg, path)
    assert told in str(caught.value) and str(cfg) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_not_there(files):
    cfg, weights, _ = files
    with pytest.raises(InputError, match="none.cfg: no such file"):
        darknet.load(cfg.with_name("none.cfg"), weights)
    with pytest.raises(InputError, match="none.weights: no such file"):
        darknet.load(cfg, weights.with_name("none.weights"))
