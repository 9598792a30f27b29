"""Models by name: what the manifest lists, downloads with their checksums, and what is told when one cannot be had."""

import functools
import hashlib
import http.server
import threading

import keras
import pytest
import yaml

from run_tools import manifest
from run_tools.errors import InputError
from tests.yolo_prune import darknet_reference as reference
from yolo_prune import cli, models
from yolo_prune.darknet import DarknetModel
from yolo_prune.models import load_detector, load_model, model_file
from yolo_prune.transfer import transfer

TEXT = reference.tiny((4,) * 8, 2, "1,1.5, 2,1", (32, 32))
AUTHORS = ("https://pjreddie.com/media/files/", "https://raw.githubusercontent.com/pjreddie/darknet/master/cfg/")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of files to download, an empty cache, and a function that writes the manifest."""
    source, folder = tmp_path / "source", tmp_path / "weights"
    source.mkdir()
    folder.mkdir()
    (source / "net.cfg").write_text(TEXT)
    (source / "net.weights").write_bytes(reference.random_weights(TEXT))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(manifest, "PLACES", (tmp_path / "none", folder))

    def write(base, **changes):
        entry = {"weights": f"{base}/net.weights", "cfg": f"{base}/net.cfg"}
        entry["sha256"] = digest((source / "net.weights").read_bytes())
        entry["cfg_sha256"] = digest(TEXT.encode())
        (folder / "manifest.yaml").write_text(yaml.safe_dump({"net": entry | changes}))
        return folder

    write.source, write.cache = source, tmp_path / "home" / "prune-vision"
    return write


@pytest.fixture
def server(shelf):
    """A web server of the folder; says what was asked of it."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(shelf.source))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_the_packages_own_lists_the_authors_networks():
    entries = manifest.entries()
    assert {"yolov2", "yolov2-tiny", "yolov2-tiny-voc", "darknet19"} <= set(entries)
    for name, entry in entries.items():
        if entry.weights is not None:
            assert entry.weights.startswith(AUTHORS[0]) and entry.cfg.startswith(AUTHORS[1])
        assert entry.description and entry.licence and entry.origin, name
    # 16 bytes of a header and four for each of 50,983,561 numbers.
    assert entries["yolov2"].size == 203_934_260
    assert entries["darknet19"].layers == 23


def test_a_name_is_downloaded_once(shelf, server):
    address, asked = server
    shelf(address)
    model = load_detector("net")
    assert isinstance(model, DarknetModel) and model.cfg == TEXT
    assert sorted(asked) == ["/net.cfg", "/net.weights"]
    assert load_detector("net").cfg == TEXT and len(asked) == 2
    # It is a name wherever a model is wanted, and a file of that name goes before.
    assert transfer(load_detector("net"), "net").loaded[0] == "conv_1"
    with pytest.raises(InputError, match=r"nett: no such file; expected .* a name in .*manifest.yaml \(net\)"):
        model_file("nett")


def test_the_verbs_take_names(shelf, tmp_path, capsys):
    shelf(shelf.source.as_uri())
    words = ["export-darknet", "net", str(tmp_path / "o.cfg"), str(tmp_path / "o.weights")]
    assert cli.main(words) == 0, capsys.readouterr().err
    assert (tmp_path / "o.weights").read_bytes() == (shelf.source / "net.weights").read_bytes()


def test_other_contents_are_refused(shelf):
    shelf(shelf.source.as_uri(), sha256="0" * 64)
    with pytest.raises(InputError, match="file hash does not match") as caught:
        load_model("net")
    assert "\n" not in str(caught.value)
    assert [path.name for path in shelf.cache.iterdir()] == ["net.cfg"]
    # A file that somebody put there is not touched.
    (shelf.cache / "net.weights").write_bytes(b"mine")
    with pytest.raises(InputError, match=f"{digest(b'mine')}; expected {'0' * 64}.*delete it"):
        load_model("net")
    assert (shelf.cache / "net.weights").read_bytes() == b"mine"


def test_without_a_checksum_nothing_is_downloaded(shelf):
    for changes in ({"sha256": ""}, {"cfg_sha256": ""}, {"sha256": "tbd"}):
        shelf("http://127.0.0.1:9", **changes)
        with pytest.raises(
            InputError, match=r"64 hexadecimal digits at \w*sha256 of net in .*`sha256sum net\."
        ) as caught:
            load_model("net")
        assert "http://127.0.0.1:9/net." in str(caught.value) and "\n" not in str(caught.value)
    assert not shelf.cache.exists()


def test_offline(shelf, capsys):
    shelf("http://127.0.0.1:9")  # the port "discard", on which nothing listens
    code = cli.main(["export-darknet", "net", "a.cfg", "a.weights"])
    err = capsys.readouterr().err
    assert code == 2 and err.count("\n") == 1
    assert "http://127.0.0.1:9/net.cfg, which could not be downloaded" in err
    assert f"put it at {shelf.cache / 'net.cfg'}" in err
    # As it says:
    for name in ("net.cfg", "net.weights"):
        (shelf.cache / name).write_bytes((shelf.source / name).read_bytes())
    assert load_detector("net").cfg == TEXT


def test_a_model_beside_the_manifest(shelf, make_detector):
    folder = shelf("none")
    make_detector().save(folder / "small.keras")
    data = (folder / "small.keras").read_bytes()
    entry = {"model": "small.keras", "sha256": digest(data), "command": "yolo-prune train …", "data": "KITTI"}
    entry |= {"origin": "this project", "licence": "CC BY-NC-SA 3.0", "metrics": {"car AP50": 0.6}}
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"small": entry}))
    assert load_detector("small").class_names[0] == "car"
    assert manifest.entries()["small"].metrics == {"car AP50": 0.6}
    (folder / "small.keras").write_bytes(data[:-1])
    with pytest.raises(InputError, match="put the right file there"):
        load_detector("small")
    (folder / "small.keras").unlink()
    with pytest.raises(InputError, match="small.keras is missing"):
        load_detector("small")


def test_a_classifiers_name_is_refused(shelf):
    folder = shelf("none")
    other = {"types": {"kind": "classification", "model": "types.keras", "sha256": "0" * 64}}
    with (folder / "manifest.yaml").open("a") as file:
        yaml.safe_dump(other, file)
    told = r"types, a model for classification; expected .* a name in .*manifest.yaml \(net\); name one for detection"
    for read in (load_model, models.digest):
        with pytest.raises(InputError, match=told):
            read("types")


def test_the_first_layers_are_no_detector(shelf):
    shelf(shelf.source.as_uri(), layers=4)
    partial = reference.net(32, 32) + 2 * (reference.conv(4) + reference.pool())
    weights = reference.random_weights(partial)
    (shelf.source / "net.weights").write_bytes(weights)
    shelf(shelf.source.as_uri(), layers=4)
    model = load_model("net")
    assert type(model) is not DarknetModel and isinstance(model, keras.Model)
    assert model.output_shape == (None, 8, 8, 4)
    with pytest.raises(InputError, match="net: a Functional; expected a YoloV2 detector"):
        load_detector("net")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("net: {weight: a}", "did you mean 'weights'"),
        ("net: {weights: a}", "a model, or weights and their cfg"),
        ("net: {model: a, weights: b, cfg: c}", "a model, or weights and their cfg"),
        ("net:", "a model, or weights and their cfg"),
        ("- net", "keys and values"),
    ],
)
def test_a_wrong_manifest(shelf, text, told):
    folder = shelf("none")
    (folder / "manifest.yaml").write_text(text)
    with pytest.raises(InputError, match=told):
        load_model("net")
    (folder / "manifest.yaml").unlink()
    with pytest.raises(InputError, match="install the package again"):
        load_model("net")
