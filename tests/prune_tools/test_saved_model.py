"""Any Keras model as a SavedModel: once each weight, whole or not at all."""

import keras
import numpy as np
import pytest

from prune_tools.export import folder_bytes, run_saved_model, saved_model
from run_tools.errors import InputError

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def model():
    """16 x 500 + 500 + 500 x 4 + 4 = 10,504 weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16,))
    hidden = keras.layers.Dense(500, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(hidden))


def double(model):
    """One signature: twice the model's answer."""
    spec = tf.TensorSpec((None, 16), tf.float32, name="x")
    return {"serving_default": (lambda x: {"y": 2 * model(x, training=False)}, spec)}


def written(path, model):
    return saved_model(path, model, double(model), check=lambda temporary: temporary)


def stored_bytes(path):
    return sum(file.stat().st_size for file in (path / "variables").iterdir())


def test_signatures_answer_after_reading_back(model, tmp_path):
    temporary = written(tmp_path / "saved", model)
    assert not temporary.exists() and sorted(p.name for p in tmp_path.iterdir()) == ["saved"]
    x = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    answer = run_saved_model(tmp_path / "saved", x)
    assert list(answer) == ["y"]
    np.testing.assert_allclose(answer["y"], 2 * model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert folder_bytes(tmp_path / "saved") >= 4 * 10_504


def test_each_weight_is_stored_once_where_keras_stores_it_twice(model, tmp_path):
    written(tmp_path / "ours", model)
    model.export(tmp_path / "keras", verbose=False)
    assert model.count_params() == 10_504
    assert 4 * 10_504 <= stored_bytes(tmp_path / "ours") < 1.05 * 4 * 10_504
    assert stored_bytes(tmp_path / "keras") > 1.9 * 4 * 10_504


def test_a_compiled_model_brings_no_optimizer_along(tmp_path):
    inputs = keras.Input((16,))
    trained = keras.Model(inputs, keras.layers.Dense(200)(inputs))
    trained.compile("adam", "mse", metrics=["mae"])
    trained.fit(np.zeros((4, 16)), np.zeros((4, 200)), verbose=0)
    written(tmp_path / "saved", trained)
    assert stored_bytes(tmp_path / "saved") < 1.5 * 4 * trained.count_params()


def test_a_check_that_fails_leaves_what_was_there(model, tmp_path):
    def refuse(path):
        assert (path / "saved_model.pb").is_file()  # it is asked about the new one, on the disk
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        saved_model(tmp_path / "saved", model, double(model), refuse)
    assert not list(tmp_path.iterdir())
    written(tmp_path / "saved", model)
    before = (tmp_path / "saved" / "saved_model.pb").read_bytes()
    with pytest.raises(ValueError, match="no"):
        saved_model(tmp_path / "saved", model, double(model), refuse)
    assert (tmp_path / "saved" / "saved_model.pb").read_bytes() == before
    assert saved_model(tmp_path / "saved", model, double(model), lambda _: "fine") == "fine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["saved"]


def test_another_folder_is_never_replaced(model, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "summer.jpg").write_text("dear")
    (tmp_path / "note").write_text("dear")
    for path in (tmp_path / "photos", tmp_path / "note"):
        with pytest.raises(InputError, match="which is no SavedModel; expected a new folder"):
            written(path, model)
    assert (tmp_path / "photos" / "summer.jpg").read_text() == (tmp_path / "note").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty", model)
    assert (tmp_path / "empty" / "saved_model.pb").is_file()


def test_only_on_tensorflow(model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="a model on the jax backend; expected KERAS_BACKEND=tensorflow"):
        saved_model(tmp_path / "saved", model, {}, lambda path: path)


def test_reading_what_is_not_there(model, tmp_path):
    x = np.zeros((1, 16), np.float32)
    with pytest.raises(InputError, match="no saved_model.pb"):
        run_saved_model(tmp_path / "none", x)
    written(tmp_path / "saved", model)
    with pytest.raises(InputError, match="signature 'uint8'; expected one of serving_default"):
        run_saved_model(tmp_path / "saved", x, "uint8")
    mark = tmp_path / "saved" / "saved_model.pb"
    mark.write_bytes(mark.read_bytes()[:100])
    with pytest.raises(InputError, match="export it again"):
        run_saved_model(tmp_path / "saved", x)
