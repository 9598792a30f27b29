"""Weights of pruned tf_keras models: files laid out as tf_keras 2.21 and tfmot 0.8.1 lay them out, made by hand."""

import io
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest

from prune_tools import from_tfmot
from run_tools.errors import InputError

tf = pytest.importorskip("tensorflow")

# layer, its weights in tf_keras's order with their shapes
LAYERS = {
    "conv": {"kernel": (3, 3, 2, 4), "bias": (4,)},
    "norm": {"gamma": (4,), "beta": (4,), "moving_mean": (4,), "moving_variance": (4,)},
    "depth": {"depthwise_kernel": (3, 3, 4, 1), "bias": (4,)},
    "out": {"kernel": (4, 3), "bias": (3,)},
}
CLASSES = {
    "conv": "conv2d", "norm": "batch_normalization", "depth": "depthwise_conv2d", "out": "dense",
}  # fmt: skip
PRUNED = ("conv", "out")


def network(names=True, nested=False):
    """The same architecture in Keras 3."""
    layers = keras.layers

    def called(name):
        return {"name": name} if names else {}

    inputs = keras.Input((6, 6, 2))
    hidden = layers.Conv2D(4, 3, **called("conv"))(inputs)
    if nested:
        inner = keras.Sequential([keras.Input((4, 4, 4)), layers.BatchNormalization(**called("norm"))], name="inner")
        hidden = inner(hidden)
    else:
        hidden = layers.BatchNormalization(**called("norm"))(hidden)
    hidden = layers.DepthwiseConv2D(3, **called("depth"))(hidden)
    return keras.Model(inputs, layers.Dense(3, **called("out"))(layers.GlobalAveragePooling2D()(hidden)))


def arrays(seed=0):
    """Layer → weight → float32, half of the pruned kernels zero."""
    random = np.random.default_rng(seed)
    made = {
        layer: {name: random.normal(size=shape).astype(np.float32) for name, shape in weights.items()}
        for layer, weights in LAYERS.items()
    }
    for layer in PRUNED:
        kernel = made[layer]["kernel"]
        kernel[random.permutation(kernel.size).reshape(kernel.shape) < kernel.size // 2] = 0
    made["norm"]["moving_variance"] = np.abs(made["norm"]["moving_variance"])
    return made


ZEROS, KERNELS = 72 // 2 + 12 // 2, 72 + 36 + 12


def legacy(path, values, whole=False, wrapped=False, early=False, group_of=None, cut=False):
    """HDF5 of Keras 2, as `save` (whole) or `save_weights` write it; with the wrappers of prune_low_magnitude.

    `early`: wrapped before they were built, so that the wrapper's name is that of all weights.
    """
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        file.attrs["keras_version"] = b"2.21.0"
        names = ["input_1"]
        root.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for layer, weights in values.items():
            outer = (f"prune_low_magnitude_{layer}" if wrapped else layer) if group_of is None else group_of[layer]
            if outer not in names:
                names.append(outer)
            group = root.require_group(outer)
            own_name = outer if early else layer
            full = {f"{own_name}/{name}:0": array for name, array in weights.items()}
            if wrapped:
                own = {"pruning_step": np.int64(7)}
                if layer in PRUNED:
                    mask = (weights["kernel"] != 0).astype(np.float32)
                    own = {"mask": mask, "threshold": np.float32(0.1), **own}
                full |= {f"prune_low_magnitude_{layer}/{name}:0": array for name, array in own.items()}
            for name, array in full.items():
                group.create_dataset(name, data=array)
            before = list(group.attrs.get("weight_names", []))
            group.attrs["weight_names"] = np.array([*before, *(name.encode() for name in full)])
        listed = np.array([name.encode() for name in names])
        if cut:  # h5py's attributes hold 64 kB; tf_keras cuts longer lists
            root.attrs["layer_names0"], root.attrs["layer_names1"] = listed[:2], listed[2:]
        else:
            root.attrs["layer_names"] = listed
    return path


def check(model, values, loaded, by):
    for layer, weights in values.items():
        for name, array in weights.items():
            variables = [v for v in model.weights if v.path.endswith(f"{layer}/{name.removeprefix('depthwise_')}")]
            assert len(variables) == 1 and variables[0].numpy().tobytes() == array.tobytes(), (layer, name)
    assert (loaded.by, loaded.zeros, loaded.weights, len(loaded.pairs)) == (by, ZEROS, KERNELS, 10)
    assert loaded.sparsity == pytest.approx(42 / 120)


@pytest.mark.parametrize("options", [{}, {"whole": True}, {"cut": True}], ids=["weights", "model", "long list"])
def test_a_stripped_h5_by_name(tmp_path, options):
    values, model = arrays(), network()
    loaded = from_tfmot.load_weights(legacy(tmp_path / "w.h5", values, **options), model)
    check(model, values, loaded, "name")
    assert loaded.dropped == loaded.masked == 0
    assert ("depth/depthwise_kernel", "depth/kernel") in loaded.pairs
    assert from_tfmot.describe(loaded) == "10 weights by name, 35.00% of the kernels zero"


@pytest.mark.parametrize("early", [False, True])
def test_wrappers_masks_and_counters_are_left_out(tmp_path, early):
    values, model = arrays(), network()
    path = legacy(tmp_path / "w.h5", values, whole=True, wrapped=True, early=early)
    loaded = from_tfmot.load_weights(path, model)
    check(model, values, loaded, "name")
    assert loaded.dropped == 2 * 3 + 2 and loaded.masked == 0  # conv and out: mask, threshold, step; two others: a step


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize("early", [False, True])
def test_masks_zero_what_the_last_step_moved(tmp_path, apply, early):
    values, model = arrays(), network()
    path = legacy(tmp_path / "w.h5", values, wrapped=True, early=early)
    with h5py.File(path, "a") as file:
        kernel = file[f"prune_low_magnitude_conv/{'prune_low_magnitude_' if early else ''}conv/kernel:0"]
        moved = values["conv"]["kernel"].copy()
        place = tuple(np.argwhere(moved == 0)[0])
        moved[place] = 1e-3
        kernel[...] = moved
    loaded = from_tfmot.load_weights(path, model, masks=apply)
    assert loaded.masked == int(apply)
    assert model.get_layer("conv").kernel.numpy()[place] == (0 if apply else np.float32(1e-3))


def test_a_nested_model_is_one_entry_of_the_file(tmp_path):
    values, model = arrays(), network(nested=True)
    groups = {layer: "inner" if layer == "norm" else layer for layer in LAYERS}
    check(model, values, from_tfmot.load_weights(legacy(tmp_path / "w.h5", values, group_of=groups), model), "name")


def test_other_names_by_order(tmp_path):
    values, model = arrays(), network(names=False)
    path = legacy(tmp_path / "w.h5", values)
    loaded = from_tfmot.load_weights(path, model)
    assert loaded.by == "order"
    for variable, array in zip(model.weights, [a for w in values.values() for a in w.values()], strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)
    with pytest.raises(InputError, match="layers conv, norm, depth and 1 more that the model has not"):
        from_tfmot.load_weights(path, model, by="name")


# ---- SavedModels and checkpoints


def saved(folder, values, wrapped=False):
    """A checkpoint with the graph of objects of a tf_keras model, written by TensorFlow itself."""
    root = tf.train.Checkpoint()
    for index, (layer, weights) in enumerate(values.items()):
        node = tf.Module()
        for name, array in weights.items():
            setattr(node, name, tf.Variable(array))
        if wrapped:
            outer = tf.Module()
            outer.layer = node
            outer.pruning_step = tf.Variable(3, dtype=tf.int64)
            if layer in PRUNED:
                outer.mask = tf.Variable((weights["kernel"] != 0).astype(np.float32))
                outer.threshold = tf.Variable(0.1)
            node = outer
        setattr(root, f"layer-{index + 1}", node)
        setattr(root, f"layer_with_weights-{index}", node)
    folder.mkdir()
    return root.write(str(folder / "variables"))


@pytest.mark.parametrize("wrapped", [False, True], ids=["stripped", "wrapped"])
@pytest.mark.parametrize("whole", [False, True], ids=["checkpoint", "saved model"])
def test_saved_models_by_order(tmp_path, wrapped, whole):
    values, model = arrays(), network(names=True)
    (tmp_path / "model").mkdir()
    prefix = saved(tmp_path / "model" / "variables", values, wrapped)
    loaded = from_tfmot.load_weights(tmp_path / "model" if whole else prefix, model)
    check(model, values, loaded, "order")
    assert loaded.dropped == (8 if wrapped else 0)
    with pytest.raises(InputError, match="no names of layers; expected by='order'"):
        from_tfmot.load_weights(prefix, model, by="name")


def test_ten_layers_are_counted_as_numbers(tmp_path):
    root, model = tf.train.Checkpoint(), keras.Sequential([keras.Input((2,))])
    for index in range(12):
        node = tf.Module()
        node.kernel = tf.Variable(np.full((2, 2), index, np.float32))
        setattr(root, f"layer_with_weights-{index}", node)
        model.add(keras.layers.Dense(2, use_bias=False))
    from_tfmot.load_weights(root.write(str(tmp_path / "c")), model)
    assert [w[0, 0] for w in model.get_weights()] == list(range(12))


# ---- .weights.h5 and .keras


def numbered(values, wrapped=False):
    """tf_keras's new format: layers by class and number, weights by number."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for layer, weights in values.items():
            owner = f"layers/prune_low_magnitude/layer/{layer}" if wrapped else f"layers/{CLASSES[layer]}"
            for index, array in enumerate(weights.values()):
                file.create_dataset(f"{owner}/vars/{index}", data=array)
        file.create_group("layers/input_layer/vars")
        file.create_dataset("optimizer/vars/0", data=np.int64(3))
    return content.getvalue()


@pytest.mark.parametrize("archive", [False, True])
def test_new_files_by_class_and_number(tmp_path, archive):
    values, model = arrays(), network(names=False)
    path = tmp_path / "w"
    path.write_bytes(numbered(values))
    if archive:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("model.weights.h5", numbered(values))
    loaded = from_tfmot.load_weights(path, model)
    assert loaded.zeros == ZEROS and loaded.weights == KERNELS
    for variable, array in zip(model.weights, [a for w in values.values() for a in w.values()], strict=True):
        assert variable.numpy().tobytes() == array.tobytes()


def test_new_files_with_wrappers_are_refused(tmp_path):
    (tmp_path / "w.weights.h5").write_bytes(numbered(arrays(), wrapped=True))
    with pytest.raises(InputError, match="wrappers are still there.*strip_pruning"):
        from_tfmot.load_weights(tmp_path / "w.weights.h5", network())


# ---- what does not fit


def changed(layer, name, array):
    values = arrays()
    values[layer][name] = array
    return values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            changed("conv", "kernel", np.zeros((3, 3, 2, 5), "f4")),
            r"conv/kernel of shape \(3, 3, 2, 5\); expected \(3, 3, 2, 4\)",
        ),
        (changed("out", "scale", np.zeros(3, "f4")), "layer out with bias, kernel, scale; expected bias, kernel"),
        ({"conv": arrays()["conv"]}, "1 layers with weights in .* expected 4, as the model has"),
    ],
)
def test_other_shapes_weights_and_layers_change_nothing(tmp_path, values, told):
    model = network()
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(InputError, match=told):
        from_tfmot.load_weights(legacy(tmp_path / "w.h5", values), model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_other_files(tmp_path):
    model = network()
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "empty").mkdir()
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file.create_dataset("x", data=1)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a", "b")
    legacy(tmp_path / "none.h5", {})
    for name, told in {
        "no.h5": "no such file", "text.h5": "check the file", "bare.h5": "without names of layers",
        "empty": "check the path", "other.zip": "without model.weights.h5", "none.h5": "which holds no weights",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=told):
            from_tfmot.load_weights(tmp_path / name, model)
    with pytest.raises(InputError, match="by='class'; expected one of auto, name, order"):
        from_tfmot.load_weights(tmp_path / "none.h5", model, by="class")


def test_no_package_of_theirs_is_imported(tmp_path):
    legacy(tmp_path / "w.h5", {"out": arrays()["out"]})
    code = (
        "import sys, keras; from prune_tools import from_tfmot\n"
        "model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name='out')])\n"
        f"assert from_tfmot.load_weights({str(tmp_path / 'w.h5')!r}, model).zeros == 6\n"
        "sys.exit(any(name.split('.')[0] in ('tf_keras', 'tensorflow_model_optimization') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
