"""A Keras model in one small file: a bit a weight for the zeros, a codebook a kernel for the rest, compressed.

The file is a zip archive: `header.json` says how each weight is stored, `config.json` is the model without weights, and
four compressed streams hold the masks, codebooks, places in these, and values that are stored as they are.

Source: Han, Mao and Dally, Deep Compression (2016): pruning, weight sharing and entropy coding. A bit a weight takes
the place of the distances between non-zeros, and zstd or lzma that of Huffman codes.
"""

from __future__ import annotations

import json
import lzma
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import holding, targets
from prune_tools.export import codebook
from run_tools import files
from run_tools.errors import InputError
from run_tools.optional import require

KIND, VERSION = "prune_tools compressed model", 1
STREAMS = ("masks", "codebooks", "places", "values")
CODECS = ("zstd", "lzma")
BITS = 8
LEVEL = 19
EXTRA = "export"
_DATE = (1980, 1, 1, 0, 0, 0)  # zip's first day: equal models give equal files


@dataclass(frozen=True)
class _Stored:
    """One weight as it is stored: its description for the header, and its part of each stream."""

    told: dict[str, Any]
    parts: dict[str, bytes]


def save(path: str | Path, model: keras.Model, bits: int = BITS, codec: str = "zstd") -> dict[str, Any]:
    """Writes a model, weights without optimizer, and reads it back before it counts.

    Zeros are exact. With `bits`, the other weights of each kernel are replaced by 2^bits values chosen by k-means;
    biases, batch-norm's weights and kernels too small to gain by it are stored as they are. With 0 bits all are.

    Args:
        path: the file to be; ".kerasz" is usual.
        model: built, of classes that Keras can save.
        bits: 1–8 for the places in a codebook, 0 for exact weights.
        codec: "zstd" (the extra `export`) or "lzma" (always there).

    Returns:
        bytes: of the file; parts: compressed bytes of each stream; shared: kernels with a codebook; max_weight_change:
        largest difference to the model's weights.

    Raises:
        InputError: for other bits or codecs, a missing package, or a model that does not come back from its config.
    """
    if bits not in range(9):
        raise InputError(f"{bits} bits", "0 (exact) to 8", "choose one of these")
    if not model.built:
        raise InputError(f"model {model.name!r}, which is not built", "a built model", "call it on a batch first")
    compress, _ = _codec(codec)
    holding.sync(model)
    kernels = {id(kernel.variable) for kernel in targets.walk(model)}
    stored = [_store(variable, bits if id(variable) in kernels else 0) for variable in model.weights]
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    header = {
        "kind": KIND, "version": VERSION, "keras": keras.__version__, "bits": bits, "codec": codec,
        "weights": [each.told for each in stored],
    }  # fmt: skip
    streams = {name: compress(b"".join(each.parts.get(name, b"") for each in stored)) for name in STREAMS}
    with files.atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, content in (("header.json", header), ("config.json", config)):
                _add(archive, name, json.dumps(content).encode(), zipfile.ZIP_DEFLATED)
            for name, content in streams.items():
                _add(archive, name, content, zipfile.ZIP_STORED)
        change = _check(temporary, model, stored)
        size = temporary.stat().st_size
    return {
        "bytes": size,
        "parts": {name: len(content) for name, content in streams.items()},
        "shared": sum(each.told["coding"] == "codebook" for each in stored),
        "max_weight_change": change,
    }


def load(path: str | Path) -> keras.Model:
    """A model that `save` wrote, as a plain Keras model, in Keras's safe mode.

    Args:
        path: the file.

    Returns:
        The model, not compiled.

    Raises:
        InputError: for another file or a damaged one, a codec that is not installed, or classes that are not known.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}, which is no whole archive", "a file of prune_tools.export.compressed", "check it")
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read("header.json"))
            if header.get("kind") != KIND or header.get("version") != VERSION:
                told = f"{path} of version {header.get('version')}"
                raise InputError(told, f"a {KIND} of version {VERSION}", "read it with the release that wrote it")
            config = json.loads(archive.read("config.json"))
            _, expand = _codec(header["codec"])
            streams = {name: memoryview(expand(archive.read(name))) for name in STREAMS}
        arrays = _unpack(header["weights"], streams)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: {reason}", f"a whole {KIND}", "write it again") from error
    model = _model(path, config)
    wanted = [(list(variable.shape), str(variable.dtype)) for variable in model.weights]
    if wanted != [(told["shape"], told["dtype"]) for told in header["weights"]]:
        raise InputError(f"{path}, whose weights are not those of its model", "the same shapes", "write it again")
    for variable, array in zip(model.weights, arrays, strict=True):
        variable.assign(array)
    return model


def _model(path: str | Path, config: dict[str, Any]) -> keras.Model:
    try:
        model: keras.Model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: {reason}", "classes that are known", "import the module with its classes") from error
    return model


def _codec(name: str) -> tuple[Any, Any]:
    """Two functions of bytes: compress and expand."""
    if name == "lzma":
        return (lambda data: lzma.compress(data, preset=9)), lzma.decompress
    if name == "zstd":
        zstandard = require("zstandard", EXTRA)
        return zstandard.ZstdCompressor(level=LEVEL).compress, zstandard.ZstdDecompressor().decompress
    raise InputError(f"codec {name!r}", f"one of {', '.join(CODECS)}", "choose one of these")


def _store(variable: keras.Variable, bits: int) -> _Stored:
    values = np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).reshape(-1)
    lives = values != 0
    share = bits > 0 and values.dtype == np.float32 and np.isfinite(values).all()
    # A codebook that is a quarter of what it replaces is not worth its loss.
    share = share and np.count_nonzero(lives) > 4 << bits
    if not share:
        lives = values.view(np.uint8).reshape(values.size, values.itemsize).any(axis=1)  # -0 is not all zero bits
    count = int(np.count_nonzero(lives))
    told = {
        "name": variable.path, "shape": list(variable.shape), "dtype": str(variable.dtype),
        "coding": "codebook" if share else "values", "count": count,
    }  # fmt: skip
    parts = {"masks": np.packbits(lives).tobytes()} if count < values.size else {}
    if share:
        chosen, places = codebook.codebook(values[lives], 1 << bits)
        told["codebook"] = len(chosen)
        parts |= {"codebooks": chosen.astype("<f4").tobytes(), "places": places.tobytes()}
    else:
        # Bytes of equal weight side by side: exponents of neighbours are alike.
        parts["values"] = values[lives].view(np.uint8).reshape(count, values.itemsize).T.tobytes()
    return _Stored(told, parts)


def _unpack(told: list[dict[str, Any]], streams: dict[str, memoryview]) -> list[np.ndarray]:
    """The arrays of all weights, in order."""
    place = dict.fromkeys(STREAMS, 0)

    def take(name: str, size: int) -> np.ndarray:
        begin = place[name]
        place[name] += size
        if place[name] > len(streams[name]):
            raise ValueError(f"the stream {name} ends too early")
        return np.frombuffer(streams[name], np.uint8, size, begin)

    arrays = []
    for each in told:
        kind = np.dtype(keras.backend.standardize_dtype(each["dtype"]))
        size, count = int(np.prod(each["shape"], dtype=np.int64)), each["count"]
        lives = np.ones(size, bool)
        if count < size:
            lives = np.unpackbits(take("masks", -(-size // 8)), count=size).astype(bool)
        if each["coding"] == "codebook":
            chosen = take("codebooks", 4 * each["codebook"]).copy().view("<f4")
            living = chosen[take("places", count)]
        else:
            shuffled = take("values", count * kind.itemsize).reshape(kind.itemsize, count)
            living = np.ascontiguousarray(shuffled.T).reshape(-1).view(kind)
        array = np.zeros(size, kind)
        array[lives] = living
        arrays.append(array.reshape(each["shape"]))
    if any(place[name] != len(stream) for name, stream in streams.items()):
        raise ValueError("more weights than the header says")
    return arrays


def _check(path: Path, model: keras.Model, stored: list[_Stored]) -> float:
    """Reads the file back; the largest change of a weight. InputError where more changed than was meant to."""
    again, change = load(path), 0.0
    for before, after, each in zip(model.weights, again.weights, stored, strict=True):
        old, new = (keras.ops.convert_to_numpy(variable) for variable in (before, after))
        shared = each.told["coding"] == "codebook"
        if not (np.array_equal(old == 0, new == 0) if shared else old.tobytes() == new.tobytes()):
            raise InputError(f"{before.path}, which came back changed", "the same weights", "store the model otherwise")
        if shared:
            change = max(change, float(np.abs(old - new).max()))
    return change


def _add(archive: zipfile.ZipFile, name: str, content: bytes, method: int) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = method
    archive.writestr(info, content)
