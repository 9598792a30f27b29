"""The compressed form: zeros and exact weights bit for bit, codebooks by k-means, one file that becomes the model."""

import json
import sys
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.cluster import KMeans

from prune_tools import masks
from prune_tools.export import load_compressed, save_compressed
from prune_tools.export.codebook import codebook
from run_tools.errors import InputError


def network(sparsity=0.75, seed=0):
    """Kernels of 3·3·3·8 = 216, 3·3·8·40 = 2,880 and 40·3 = 120 weights."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    hidden = layers.Conv2D(8, 3, padding="same", use_bias=False, name="a")(inputs)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    hidden = layers.Conv2D(40, 3, strides=2, activation="relu", name="b")(hidden)
    model = keras.Model(inputs, layers.Dense(3, name="c")(layers.GlobalAveragePooling2D()(hidden)))
    if sparsity:
        chosen = masks.global_magnitude(model, sparsity)
        chosen.hold(model)
        chosen.release(model)
    return model


# ---- codebooks


def test_codebook_by_hand():
    # Start at 0, 5, 10 (evenly spread): {0, 1}, {4, 6}, {10} with means .5, 5, 10; nothing moves after that.
    values = np.array([6, 0, 10, 1, 4], np.float32)
    chosen, places = codebook(values, 3)
    np.testing.assert_array_equal(chosen, [0.5, 5, 10])
    np.testing.assert_array_equal(places, [1, 0, 2, 0, 1])
    assert chosen.dtype == np.float32 and places.dtype == np.uint8


def test_codebook_is_that_of_scikit_learn():
    values = np.random.default_rng(3).uniform(-1, 1, 400).astype(np.float32)  # evenly spread: no cluster gets empty
    start = np.linspace(values.min(), values.max(), 8)[:, None]
    other = KMeans(8, init=start, n_init=1, tol=0, max_iter=1000).fit(values[:, None].astype(np.float64))
    chosen, places = codebook(values, 8, rounds=1000)
    np.testing.assert_allclose(chosen, other.cluster_centers_[:, 0], atol=1e-6)
    np.testing.assert_array_equal(places, other.labels_)


def test_a_cluster_that_is_empty_begins_elsewhere():
    # Start at 0, 3.33, 6.67, 10: the two in the middle get nothing, and then the farthest weights, 1 and 9.
    values = np.array([0, 0, 0, 1, 9, 10, 10, 10], np.float32)
    chosen, places = codebook(values, 4)
    np.testing.assert_allclose(chosen, [np.finfo(np.float32).tiny, 1, 9, 10])
    np.testing.assert_array_equal(places, [0, 0, 0, 1, 2, 3, 3, 3])


FINITE = st.floats(-100, 100, width=32)


@given(values=arrays.arrays(np.float32, st.integers(1, 60), elements=FINITE), bits=st.integers(0, 4))
@settings(max_examples=60)
def test_each_weight_gets_the_nearest_value_of_its_codebook(values, bits):
    chosen, places = codebook(values, 1 << bits)
    assert 1 <= len(chosen) <= min(1 << bits, len(np.unique(values))) and (chosen != 0).all()
    apart = np.abs(values.astype(np.float64)[:, None] - chosen)
    np.testing.assert_allclose(apart[np.arange(len(values)), places], apart.min(axis=1), atol=2e-5)


# ---- the file


@pytest.mark.parametrize("codec", ["zstd", "lzma"])
@pytest.mark.parametrize("sparsity", [0.0, 0.75])
def test_exact_weights_come_back_bit_for_bit(tmp_path, codec, sparsity):
    pytest.importorskip("zstandard", reason="the extra export")
    model = network(sparsity)
    kernel, gamma = model.get_layer("b").kernel, model.get_layer("norm").gamma
    odd = kernel.numpy()
    odd[0, 0, 0, :3] = [-0.0, np.inf, np.float32(1e-45)]  # a negative zero, no number, the least one
    kernel.assign(odd)
    gamma.assign([0, 1, -1, 0, 2, 3, 4, 5])
    told = save_compressed(tmp_path / "m.kerasz", model, bits=0, codec=codec)
    assert told["max_weight_change"] == 0 and told["shared"] == 0
    assert told["bytes"] == (tmp_path / "m.kerasz").stat().st_size
    again = load_compressed(tmp_path / "m.kerasz")
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    for before, after in zip(model.get_weights(), again.get_weights(), strict=True):
        assert before.tobytes() == after.tobytes() and before.dtype == after.dtype


def test_shared_weights_keep_their_zeros_and_few_values(tmp_path):
    model = network()
    told = save_compressed(tmp_path / "m.kerasz", model, bits=4, codec="lzma")
    again = load_compressed(tmp_path / "m.kerasz")
    # With 16 values a codebook pays above 4 · 16 weights: "a" keeps 54 or so of 216, "b" has far more, "c" all 120.
    shared = [name for name in "abc" if np.count_nonzero(model.get_layer(name).kernel.numpy()) > 64]
    assert told["shared"] == len(shared) and {"b", "c"} <= set(shared)
    change = 0.0
    for before, after in zip(model.weights, again.weights, strict=True):
        old, new = before.numpy(), after.numpy()
        np.testing.assert_array_equal(old == 0, new == 0)
        if before.path.split("/")[0] in shared and before.path.endswith("kernel"):
            assert len(np.unique(new[new != 0])) <= 16
            change = max(change, np.abs(old - new).max())
        else:
            assert old.tobytes() == new.tobytes()
    assert 0 < change == pytest.approx(told["max_weight_change"])


def test_it_is_as_small_as_its_parts_promise(tmp_path):
    model = network(0.9)
    told = save_compressed(tmp_path / "m.kerasz", model, bits=4, codec="lzma")
    # At most a bit a weight for 216 + 2,880 masked ones, and about 4 bits for each of the 10 % that live and the 120 of
    # "c"; lzma's headers take some 60 bytes a stream.
    assert told["parts"]["masks"] <= (216 + 2880) / 8 + 80
    assert told["parts"]["places"] <= 0.6 * (0.1 * 3096 + 120) + 100
    dense = save_compressed(tmp_path / "d.kerasz", network(0), bits=0, codec="lzma")
    assert told["bytes"] < dense["bytes"] / 4


@pytest.mark.parametrize("codec", ["zstd", "lzma"])
def test_equal_models_give_equal_files(tmp_path, codec):
    pytest.importorskip("zstandard", reason="the extra export")
    model = network()
    save_compressed(tmp_path / "one", model, bits=0, codec=codec)
    save_compressed(tmp_path / "two", load_compressed(tmp_path / "one"), bits=0, codec=codec)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_half_precision_model_and_one_without_weights(tmp_path):
    for dtype in ("float16", "bfloat16"):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(300, dtype=dtype)(inputs))
        save_compressed(tmp_path / "m", model, codec="lzma")
        again = load_compressed(tmp_path / "m")
        kernels = [keras.ops.convert_to_numpy(each.weights[0]) for each in (model, again)]
        assert kernels[0].dtype == kernels[1].dtype and kernels[0].tobytes() == kernels[1].tobytes()
    bare = keras.Sequential([keras.Input((4,)), keras.layers.ReLU()])
    save_compressed(tmp_path / "m", bare, codec="lzma")
    assert load_compressed(tmp_path / "m").weights == []


def test_what_came_back_trains_on(tmp_path):
    model = network()
    model.compile("adam", "mse")
    save_compressed(tmp_path / "m", model, codec="lzma")
    again = load_compressed(tmp_path / "m")
    again.compile("sgd", "mse")
    again.fit(np.ones((4, 8, 8, 3), "f4"), np.ones((4, 3), "f4"), verbose=0)


def edited(path, **changes):
    """The archive with other contents under some names."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, changes.get(name.split(".")[0], lambda content: content)(content))


def header(**changes):
    return lambda content: json.dumps({**json.loads(content), **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"header": header(version=2)}, "version 2; expected a prune_tools compressed model of version 1"),
        ({"header": header(kind="other")}, "prune_tools compressed model"),
        ({"header": header(codec="rar")}, "codec 'rar'; expected one of zstd, lzma"),
        ({"masks": lambda content: content[:20]}, "write it again"),
        ({"values": lambda content: b"nonsense"}, "write it again"),
        ({"header": lambda content: content[:50]}, "write it again"),
        ({"config": lambda content: content.replace(b'"Conv2D"', b'"Konv2D"')}, "import the module with its classes"),
        ({"config": lambda content: content.replace(b'"units": 3', b'"units": 4')}, "not those of its model"),
    ],
)
def test_damaged_files(tmp_path, changes, told):
    path = tmp_path / "m.kerasz"
    save_compressed(path, network(), codec="lzma")
    edited(path, **changes)
    with pytest.raises(InputError, match=told):
        load_compressed(path)


def test_a_model_that_is_not_built_is_refused(tmp_path):
    with pytest.raises(InputError, match="not built"):
        save_compressed(tmp_path / "m.kerasz", keras.Sequential([keras.layers.Dense(3)]))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path, monkeypatch):
    model = network()
    with pytest.raises(InputError, match="9 bits"):
        save_compressed(tmp_path / "m", model, bits=9)
    with pytest.raises(InputError, match="codec 'zip'"):
        save_compressed(tmp_path / "m", model, codec="zip")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(InputError, match="no whole archive"):
        load_compressed(tmp_path / "text")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(InputError, match=r"no module zstandard; expected the extra 'export'"):
        save_compressed(tmp_path / "m", model)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
