"""Masks: exact counts on real models, monotone pruning, structures, files, and the failure this project began with."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from prune_tools import masks, structures, targets
from run_tools.arrays import read_npz
from run_tools.errors import InputError


@pytest.fixture
def model():
    """Kernels of 3·3·3·4 = 108, 2·2·4·6 = 96 and 6·5 = 30 weights, and a head of 10."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            kl.Input((8, 8, 3)),
            kl.Conv2D(4, 3, name="a"),
            kl.BatchNormalization(),
            kl.Conv2D(6, 2, activation="relu", name="b"),
            kl.GlobalAveragePooling2D(),
            kl.Dense(5, name="c"),
            kl.Dense(2, name="head"),
        ]
    )


def weights(model, name):
    return keras.ops.convert_to_numpy(model.get_layer(name).kernel)


def test_masks_of_what_is_zero_already(model):
    kernel = weights(model, "head").copy()
    kernel[0, 1] = kernel[3, 0] = 0
    model.get_layer("head").kernel.assign(kernel)
    found = masks.from_zeros(model)
    assert list(found) == ["a/kernel", "b/kernel", "c/kernel", "head/kernel"] and found.pruned == 2
    np.testing.assert_array_equal(found["head/kernel"], kernel != 0)
    assert list(masks.from_zeros(model, "conv")) == ["a/kernel", "b/kernel"]


@pytest.mark.parametrize("sparsity", [0, 0.02, 0.3, 0.5, 0.77, 1])
def test_exactly_that_many_and_the_smallest(model, sparsity):
    found = masks.global_magnitude(model, sparsity)
    assert list(found) == ["a/kernel", "b/kernel", "c/kernel"]
    assert found.total == 234
    assert found.pruned == round(sparsity * 234)
    assert found.sparsity() == round(sparsity * 234) / 234
    pooled = np.concatenate([np.abs(weights(model, name)).ravel() for name in "abc"])
    kept = np.concatenate([mask.ravel() for mask in found.values()])
    if 0 < sparsity < 1:
        assert pooled[~kept].max() <= pooled[kept].min()


def test_equal_weights_and_zeros_do_not_break_the_count(model):
    model.get_layer("a").kernel.assign(np.zeros((3, 3, 3, 4)))
    model.get_layer("b").kernel.assign(np.full((2, 2, 4, 6), -0.5))
    # 40 of 234: all in the zeros of `a`, the first 40. 150: all 108 zeros, then the first 42 of the equal 96, unless
    # weights of `c` are smaller than .5.
    first = masks.global_magnitude(model, 40 / 234)
    assert first["a/kernel"].ravel().tolist() == [False] * 40 + [True] * 68
    assert masks.global_magnitude(model, 150 / 234).pruned == 150
    assert masks.global_magnitude(model, 0.5) == masks.global_magnitude(model, 0.5)


@pytest.mark.parametrize(
    "name", ["global_magnitude", "global_random", "lamp", "erk", "layer_magnitude", "layer_random"]
)
def test_pruning_more_keeps_what_was_pruned(model, name):
    method = getattr(masks, name)
    older = None
    for sparsity in (0.2, 0.5, 0.5, 0.8):
        newer = method(model, sparsity, previous=older)
        if older is not None:
            assert all(not np.any(newer[name] & ~older[name]) for name in newer)
            assert newer.merge(older) == newer
        older = newer
    with pytest.raises(InputError, match="pruned already"):
        method(model, 0.5, previous=older)


def test_every_kernel_alike_by_its_own_count(model):
    found = masks.layer_magnitude(model, 0.3)
    # round(.3 · 108) = 32, round(.3 · 96) = 29, round(.3 · 30) = 9.
    assert [int((~mask).sum()) for mask in found.values()] == [32, 29, 9]
    chosen = masks.layer_magnitude(model, {"a/kernel": 0.5, "head/kernel": 0.1})
    assert chosen.by_kernel() == {"a/kernel": 0.5, "head/kernel": pytest.approx(0.1)}
    with pytest.raises(InputError, match="unknown kernel 'a/kernle'"):
        masks.layer_magnitude(model, {"a/kernle": 0.5})


def test_amounts_of_what_remains_compound(model):
    found = None
    for count in (47, 84, 114):  # 234 · .2 = 46.8; (234 - 47) · .2 = 37.4; (234 - 84) · .2 = 30
        found = masks.global_magnitude(model, 0.2, previous=found, amount="of_remaining")
        assert found.pruned == count


def test_erk_is_exact_and_sparser_where_kernels_are_large(model):
    found = masks.erk(model, 0.6)
    assert found.pruned == round(0.6 * 234)
    assert found.sparsity("a/kernel") > found.sparsity("c/kernel")


def test_lamp_empties_no_kernel(model):
    model.get_layer("a").kernel.assign(weights(model, "a") * 1e-6)
    assert masks.global_magnitude(model, 0.6).sparsity("a/kernel") == 1
    assert masks.lamp(model, 0.6).sparsity("a/kernel") < 0.9
    assert masks.global_magnitude(model, 0.6, floor=0.1).sparsity("a/kernel") == 97 / 108  # ceil(.1 · 108) = 11 stay


def test_taylor_takes_what_the_loss_does_not_need(model):
    # Units of `c` that the head does not read: their weights have no gradient.
    head = weights(model, "head").copy()
    head[[1, 3]] = 0
    model.get_layer("head").kernel.assign(head)
    model.get_layer("b").bias.assign(np.full(6, 5.0))  # no unit before `c` is dead
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    data = [(rng.random((4, 8, 8, 3), np.float32), rng.random((4, 2), np.float32))]
    found = masks.global_taylor(model, 12 / 30, data, ["c"])
    expected = np.ones((6, 5), bool)
    expected[:, [1, 3]] = False
    np.testing.assert_array_equal(found["c/kernel"], expected)


def test_one_weight_that_is_no_number_is_told_whatever_chooses(model):
    kernel = weights(model, "b").copy()
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("b").kernel.assign(kernel)
    for name in ("global_magnitude", "layer_magnitude", "lamp", "erk"):
        with pytest.raises(InputError, match="not numbers"):
            getattr(masks, name)(model, 0.5)
    with pytest.raises(InputError, match="not numbers"):
        masks.n_of_m(model, 2, 4, ["b"])


def test_filters(model):
    def columns(array):
        return array.reshape(-1, array.shape[-1])

    found = masks.global_magnitude(model, 0.4, structure=masks.Filters())  # of 4 + 6 + 5 = 15 units: 6
    strengths = np.concatenate([np.abs(columns(weights(model, name))).mean(0) for name in "abc"])
    whole = np.concatenate([columns(mask).all(0) for mask in found.values()])
    some = np.concatenate([columns(mask).any(0) for mask in found.values()])
    assert whole.tolist() == some.tolist()
    assert set(np.flatnonzero(~whole)) == set(np.argsort(strengths)[:6])
    more = masks.global_magnitude(model, 0.6, structure=masks.Filters(), previous=found)
    assert sum(int((~columns(mask).any(0)).sum()) for mask in more.values()) == 9


def kernel_of(shape, axes=(-1,), kind="conv"):
    variable = keras.Variable(np.zeros(shape, "f4"))
    return targets.Kernel("k/kernel", keras.layers.Layer(), variable, kind, axes)


def test_filters_of_transposed_and_depthwise_kernels():
    up, depth = kernel_of((2, 2, 3, 5), (-2,)), kernel_of((2, 2, 3, 2), (-2, -1), "depthwise")
    ones = structures.Filters().expand(up, np.array([True, False, True]))
    assert ones[:, :, 1].sum() == 0 and ones[:, :, [0, 2]].all()
    score = np.arange(24.0).reshape(2, 2, 3, 2)
    # One depthwise filter is [:, :, channel, multiplier]; the four positions lie 6 apart: mean of k, k+6, k+12, k+18.
    assert structures.Filters().reduce(depth, score).tolist() == [[9, 10], [11, 12], [13, 14]]


def test_blocks_by_hand():
    kernel = kernel_of((3, 5), kind="dense")
    score = np.arange(15.0).reshape(3, 5)
    # Rows 0–1 | 2, columns 0–1 | 2–3 | 4: (0+1+5+6)/4 = 3, (2+3+7+8)/4 = 5, (4+9)/2 = 6.5; 10.5, 12.5, 14.
    blocks = structures.Blocks(2, 2)
    assert blocks.reduce(kernel, score).tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]
    kept = blocks.expand(kernel, np.array([[True, False, True], [False, True, False]]))
    assert kept.astype(int).tolist() == [[1, 1, 0, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 1, 0]]
    with pytest.raises(InputError, match="0x2"):
        structures.Blocks(0, 2)
    with pytest.raises(InputError, match="1.5x2"):
        structures.Blocks(1.5, 2)


@pytest.mark.parametrize(("shape", "axes"), [((3, 3, 4, 2), (-1,)), ((2, 2, 3, 8), (-2,)), ((8, 5), (-1,))])
@pytest.mark.parametrize("structure", [structures.Blocks(3, 2), structures.Filters(), structures.Weights()])
def test_what_is_expanded_reduces_to_itself(shape, axes, structure):
    kernel = kernel_of(shape, axes)
    pieces = structure.reduce(kernel, np.zeros(shape))
    kept = np.random.default_rng(0).random(pieces.shape) < 0.5
    whole = structure.expand(kernel, kept)
    assert whole.shape == shape
    np.testing.assert_array_equal(structure.reduce(kernel, whole.astype(float)), kept)


def test_two_of_four_in_every_group_of_inputs():
    keras.utils.set_random_seed(1)
    layers = [kl.Input((6, 6, 3)), kl.Conv2D(8, 3, name="a"), kl.Conv2D(5, 3, name="b"),
              kl.Conv2DTranspose(4, 2, name="up"), kl.Flatten(), kl.Dense(4, name="c"), kl.Dense(2)]  # fmt: skip
    model = keras.Sequential(layers)
    found = masks.n_of_m(model, 2, 4)
    # 3 inputs (a) and 5 (up) do not divide by 4; 8 (b) and 3·3·4 = 36 (c) do.
    assert list(found) == ["b/kernel", "c/kernel"]
    values = np.abs(weights(model, "b"))
    for y, x, out in np.ndindex(3, 3, 5):
        for start in (0, 4):
            group, kept = values[y, x, start : start + 4, out], found["b/kernel"][y, x, start : start + 4, out]
            assert sorted(np.flatnonzero(kept)) == sorted(np.argsort(group)[2:])
    with pytest.raises(InputError, match="a/kernel.*inputs that divide by 4"):
        masks.n_of_m(model, 2, 4, ["a"])
    with pytest.raises(InputError, match="5 of 4"):
        masks.n_of_m(model, 5, 4, ["b"])
    for n, m in ((0, 0), (1.5, 4), (-1, 4)):
        with pytest.raises(InputError, match="1 ≤ n ≤ m"):
            masks.n_of_m(model, n, m)
    wide = structures.n_of_m(kernel_of((1, 1, 2, 4), (-2,)), np.array([[[[1.0, 2, 3, 4], [4, 3, 2, 1]]]]), 1, 4)
    assert wide.astype(int).tolist() == [[[[0, 0, 0, 1], [1, 0, 0, 0]]]]  # a transposed kernel's inputs come last


def test_a_file_gives_the_same_masks(model, tmp_path):
    found = masks.global_magnitude(model, 0.37)
    found.save(tmp_path / "masks.npz")
    assert masks.Masks.load(tmp_path / "masks.npz") == found
    assert (tmp_path / "masks.npz").stat().st_size < 1500  # a bit a weight
    (tmp_path / "broken.npz").write_bytes((tmp_path / "masks.npz").read_bytes()[:300])
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    for name in ("missing", "broken", "other"):
        with pytest.raises(InputError, match=name):
            masks.Masks.load(tmp_path / f"{name}.npz")
    (tmp_path / "picture.npz").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    for read in (masks.Masks.load, read_npz):  # NumPy would advise to load it unsafely
        with pytest.raises(InputError, match="picture.npz: neither arrays nor an archive of them"):
            read(tmp_path / "picture.npz")
    with pytest.raises(InputError, match="ending in .npz"):
        found.save(tmp_path / "masks.json")


def test_masks_that_do_not_fit(model):
    found = masks.global_magnitude(model, 0.5)
    other = keras.Sequential([kl.Input((8, 8, 3)), kl.Conv2D(9, 3, name="a"), kl.Conv2D(9, 3, name="x")])
    with pytest.raises(InputError, match=r"a mask of shape \(3, 3, 3, 4\) for a/kernel"):
        found.hold(other)
    assert all(variable.constraint is None for variable in other.weights)
    with pytest.raises(InputError, match="unknown kernel 'b/kernel'"):
        masks.Masks({"b/kernel": found["b/kernel"]}).hold(other)
    with pytest.raises(InputError, match="previous masks of"):
        masks.global_magnitude(model, 0.6, ["b"], previous=found)
    with pytest.raises(InputError, match="float32"):
        masks.Masks({"a/kernel": np.ones(3, np.float32)})
    with pytest.raises(InputError, match="fraction in 0–1"):
        masks.global_magnitude(model, 30)


def test_the_seeds_failure():
    """Signed thresholds and inverted masks, which once passed for pruning, break what these invariants say."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential([kl.Input((20,))] + [kl.Dense(60, "relu") for _ in range(3)] + [kl.Dense(10)])
    x = np.random.default_rng(0).normal(size=(200, 20)).astype("f4")
    before = model.predict(x, verbose=0).ravel()
    start = model.get_weights()

    def correlation(arrays):
        model.set_weights(start)
        pruned = masks.Masks(arrays)
        pruned.hold(model)
        after = model.predict(x, verbose=0).ravel()
        pruned.release(model)
        return np.corrcoef(before, after)[0, 1]

    right = masks.global_magnitude(model, 0.02)
    assert correlation(right) > 0.99
    model.set_weights(start)
    kernels = {kernel.name: kernel.numpy() for kernel in targets.kernels(model)}
    threshold = np.quantile(np.concatenate([array.ravel() for array in kernels.values()]), 0.02)
    signed = {name: array > threshold for name, array in kernels.items()}  # takes the largest negative weights
    inverted = {name: ~mask for name, mask in right.items()}

    def smallest(arrays):
        """The invariant: no pruned weight is larger in magnitude than a kept one."""
        gone = max(np.abs(array[~arrays[name]]).max() for name, array in kernels.items() if (~arrays[name]).any())
        return gone <= min(np.abs(array[arrays[name]]).min() for name, array in kernels.items() if arrays[name].any())

    assert smallest(right) and not smallest(signed) and not smallest(inverted)
    assert correlation(signed) < correlation(right)
    assert correlation(inverted) < 0.9
