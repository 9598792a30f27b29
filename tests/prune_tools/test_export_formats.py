"""A model in other runtimes' formats: read back by the runtimes themselves, zeros found, mistakes refused."""

import sys

import keras
import numpy as np
import pytest

from prune_tools import export, masks, runtimes
from prune_tools.export import Choices, convert, kept, program
from run_tools.errors import InputError

PACKAGES = {
    "saved_model": "tensorflow", "litert": "ai_edge_litert", "onnx": "onnxruntime", "openvino": "openvino",
    "compressed": "zstandard",
    "keras": "keras",
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """Convolutions of 216 and 2,304 weights with batch-norm behind the first, 80 % zero; a head of 96."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((10, 12, 3), name="picture")
    hidden = layers.Conv2D(8, 3, use_bias=False, name="a")(inputs)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    hidden = layers.Conv2D(32, 3, activation="relu", name="b")(hidden)
    built = keras.Model(inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(hidden)))
    random = np.random.default_rng(0)
    built.get_layer("norm").set_weights([random.uniform(0.5, 2, 8) for _ in range(4)])
    chosen = masks.global_magnitude(built, 0.8)
    chosen.hold(built)
    chosen.release(built)
    return built


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    """All formats whose packages are here: (folder, what was told)."""
    folder = tmp_path_factory.mktemp("formats")
    there = [name for name, module in PACKAGES.items() if not export.writing.missing([module, *more(name)])]
    return folder, export.write(folder, model, there)


def more(name):
    return export.FORMATS[name].packages


def told_of(written, name):
    if name not in written[1]:
        pytest.skip(f"the extra export: {PACKAGES[name]} is not installed")
    return written[1][name]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PACKAGES))
def test_each_format_is_there_agrees_and_keeps_the_zeros(model, written, name):
    told = told_of(written, name)
    path = written[0] / export.FORMATS[name].file
    assert told["path"] == str(path) and path.exists() and told["precision"] == "float32"
    assert told["bytes"] == export.folder_bytes(path) > 0 and told["zip_bytes"] > 0
    assert told["max_difference"] <= told["tolerance"] and told["compared"] == 3
    # round(.8 · (216 + 2,304)) zeros; the head is an output and none of its 96 are.
    assert told["zeros"]["zeros"] == 2016 and told["zeros"]["kept"] == 1.0 and told["zeros"]["lost"] == []


@pytest.mark.parametrize("name", ["saved_model", "litert", "onnx", "openvino"])
def test_their_runtimes_answer_like_the_model_for_any_batch(model, written, name):
    told = told_of(written, name)
    x = np.random.default_rng(2).normal(size=(3, 10, 12, 3)).astype(np.float32)
    wanted = model.predict(x, verbose=0)
    for count in (1, 3):
        answer = runtimes.open_model(name, told["path"], precision="f32").call({"picture": x[:count]})
        assert list(answer) == ["output"] and answer["output"].shape == (count, 3)
        np.testing.assert_allclose(answer["output"], wanted[:count], rtol=1e-4, atol=1e-5)


def test_the_saved_model_has_the_weights_bit_for_bit_and_others_fold_batch_norm(written):
    assert told_of(written, "saved_model")["zeros"]["exact"] is True
    assert told_of(written, "onnx")["zeros"]["exact"] is False


def test_the_keras_file_of_a_trained_model_has_no_optimizer(model, tmp_path):
    trained = keras.models.clone_model(model)
    trained.compile("adam", "mse")
    x = np.ones((2, 10, 12, 3), np.float32)
    trained.fit(x, trained.predict(x, verbose=0) + 1, verbose=0)
    trained.save(tmp_path / "with.keras")
    told = export.write(tmp_path, trained, ["keras"])["keras"]
    assert told["zeros"]["exact"] is True and told["bytes"] < (tmp_path / "with.keras").stat().st_size
    loaded = keras.saving.load_model(told["path"])
    assert getattr(loaded, "optimizer", None) is None
    for read, weight in zip(loaded.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(read, weight)


def test_litert_is_small_when_sparse(model, written, tmp_path):
    sparse = told_of(written, "litert")
    dense = export.write(tmp_path, model, ["litert"], choices=Choices(sparse=False))["litert"]
    assert dense["zeros"]["kept"] == 1.0
    # Each kernel is stored sparsely, which takes about 6 bytes for each of the 504 living weights instead of 4 for all
    # 2,520; what else is in the file is the same, but for the operations that unpack.
    assert sparse["bytes"] < dense["bytes"] - 0.4 * (4 * 2520 - 6 * 504)


def test_openvino_says_what_it_computes_in(model, written):
    told = told_of(written, "openvino")
    assert told["default_precision"] in ("float32", "bfloat16", "float16")
    import openvino

    core = openvino.Core()
    own = core.compile_model(str(written[0] / "openvino/model.xml"), "CPU").get_property("INFERENCE_PRECISION_HINT")
    assert told["default_precision"] == {"f32": "float32", "bf16": "bfloat16"}.get(own.to_string(), "float16")
    assert told["default_precision"] == "float32" or told["default_difference"] > told["max_difference"]


def test_several_inputs_and_named_outputs(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra export")
    pytest.importorskip("ai_edge_litert", reason="the extra export")
    wide, short = keras.Input((6,), name="wide"), keras.Input((4,), dtype="int32", name="short")
    parts = {"first": keras.layers.Dense(3)(wide), "second one": keras.layers.Embedding(2, 5)(short)}
    model = keras.Model({"wide": wide, "short": short}, parts)
    told = export.write(tmp_path, model, ["litert", "onnx"])
    x = {"wide": np.ones((1, 6), np.float32), "short": np.array([[0, 1, 1, 0]], np.int32)}
    wanted = model(x)
    for name in ("litert", "onnx"):
        assert told[name]["compared"] == 3 + 4 * 5
        answer = runtimes.open_model(name, told[name]["path"]).call(x)
        np.testing.assert_allclose(answer["first"], wanted["first"], rtol=1e-5)
        np.testing.assert_allclose(answer["second_one"], wanted["second one"], rtol=1e-6)


# ---- what is not as it should be


@pytest.mark.parametrize("name", ["litert", "onnx", "openvino", "saved_model"])
def test_a_file_that_answers_otherwise_leaves_the_folder_as_it_was(model, tmp_path, monkeypatch, name):
    pytest.importorskip(PACKAGES[name], reason="the extra export")
    right = runtimes.open_model

    def wrong(*arguments, **options):
        runner = right(*arguments, **options)
        call = lambda inputs: {key: value + np.float32(0.01) for key, value in runner.call(inputs).items()}  # noqa: E731
        return runtimes.Runner(call, runner.precision, runner.runtime)

    monkeypatch.setattr(runtimes, "open_model", wrong)
    with pytest.raises(InputError, match=f"{name} file that answers otherwise than its model .by 0.01 of the largest"):
        export.write(tmp_path, model, [name])
    assert not list(tmp_path.iterdir())


def test_too_few_values_in_a_codebook_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="take more bits"):
        export.write(tmp_path, model, ["compressed"], choices=Choices(bits=1, codec="lzma", tolerance=1e-6))
    assert not list(tmp_path.iterdir())


def test_what_a_converter_refuses_is_one_line():
    told = "a model that ONNX cannot hold .no such operation.; expected operations"
    with pytest.raises(InputError, match=told), convert._refusing("ONNX"):
        raise RuntimeError("no such\n operation")


def test_names_and_packages_are_checked_first(model, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="unknown format 'onxx'.*did you mean 'onnx'"):
        export.write(tmp_path, model, ["saved_model", "onxx"])
    with pytest.raises(InputError, match="no format"):
        export.write(tmp_path, model, [" , "])
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"no module openvino; expected the extra 'export'; install it"):
        export.write(tmp_path, model, ["saved_model,openvino"])
    assert not list(tmp_path.iterdir())


def test_models_that_say_too_little(tmp_path):
    class Plain(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(InputError, match="does not say its inputs"):
        export.write(tmp_path, Plain(), ["saved_model"])
    inputs = keras.Input((None, 3))
    free = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(InputError, match="give inputs to compare on"):
        export.write(tmp_path, free, ["saved_model"])
    told = export.write(tmp_path, free, ["saved_model"], inputs={free.inputs[0].name: np.ones((1, 7, 3), "f4")})
    assert told["saved_model"]["compared"] == 14
    free.layers[-1].set_weights([np.full((3, 2), np.nan), np.zeros(2)])
    with pytest.raises(InputError, match="not finite"):
        export.write(tmp_path, free, ["saved_model"], inputs={free.inputs[0].name: np.ones((1, 7, 3), "f4")})


def test_outputs_whose_names_become_one_are_all_there(tmp_path):
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, {"a b": keras.layers.Dense(2)(inputs), "a/b": keras.layers.Dense(3)(inputs)})
    export.write(tmp_path, model, ["saved_model"])
    picture = np.ones((2, 4), "f4")
    answer = export.run_saved_model(tmp_path / "saved_model", picture)
    wanted = model.predict(picture, verbose=0)
    assert {value.shape for value in answer.values()} == {(2, 2), (2, 3)} == {wanted[n].shape for n in ("a b", "a/b")}
    with pytest.raises(InputError, match="inputs y; expected x"):
        export.write(tmp_path, model, ["saved_model"], inputs={"y": picture})


def test_other_folders_are_not_replaced(model, tmp_path):
    pytest.importorskip("openvino", reason="the extra export")
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="which is no openvino"):
        export.write(tmp_path, model, ["openvino"])
    assert (tmp_path / "openvino" / "notes.txt").read_text() == "mine"


# ---- zeros


def with_kernel(values):
    inputs = keras.Input((values.shape[0],))
    model = keras.Model(inputs, keras.layers.Dense(values.shape[1], use_bias=False)(inputs))
    model.layers[-1].set_weights([values])
    return model


def test_zeros_are_looked_for_in_any_order_of_the_axes():
    values = np.array([[0, 1, 2], [3, 0, 0]], np.float32)
    model = with_kernel(values)
    assert kept.sizes(model) == {(2, 3)}
    assert kept.kept(model, [values.T.copy()]) == {"zeros": 3, "kept": 1.0, "exact": True, "lost": []}
    scaled = kept.kept(model, [(values * np.float32(0.5)).T.reshape(3, 1, 2)])
    assert scaled["kept"] == 1.0 and scaled["exact"] is False
    broken = values.copy()
    broken[1, 2] = 1e-30  # one of the three is no zero any more
    assert kept.kept(model, [np.ones((3, 2), np.float32), broken]) == {
        "zeros": 3, "kept": pytest.approx(2 / 3), "exact": False, "lost": ANY,
    }  # fmt: skip
    assert kept.kept(model, [])["kept"] == 0.0
    assert kept.kept(with_kernel(values + 9), [values])["kept"] is None


class _Any:
    def __eq__(self, other):
        return len(other) == 1


ANY = _Any()


def test_differences_by_hand():
    one = {"y": np.array([1.0, -4.0])}
    assert program.difference(one, {"y": np.array([1.0, -3.0])}) == (0.25, 2)  # 1 of 4
    assert program.difference({"y": np.array([0.1])}, {"y": np.array([0.3])}) == (pytest.approx(0.2), 1)  # 1, at least
    assert program.difference(one, {"y": np.array([1.0, np.nan])})[0] == np.inf
    with pytest.raises(export.Differs, match="outputs z instead of y"):
        program.difference(one, {"z": one["y"]})
    with pytest.raises(export.Differs, match="shape"):
        program.difference(one, {"y": one["y"][:1]})
