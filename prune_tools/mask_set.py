"""`Masks`: which weights of a model live, as plain arrays that can be kept, merged, held and released."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from prune_tools import holding, targets
from run_tools import files
from run_tools.arrays import reason
from run_tools.errors import InputError, unknown_name


class Masks(Mapping[str, np.ndarray]):
    """For each kernel's name (see `targets.Kernel`) an array of its shape, True where the weight lives.

    Args:
        arrays: name → bool array; copied, read-only afterwards.

    Example:
        >>> found = masks.global_magnitude(model, 0.7)
        >>> found.hold(model)
        >>> model.fit(data, epochs=10, callbacks=[found.callback()])
        >>> found.release(model)
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            copied = np.array(array)
            if copied.dtype != bool:
                raise InputError(f"a mask of {copied.dtype} for {name}", "bool, True where kept", "compare it first")
            copied.setflags(write=False)
            self._arrays[name] = copied

    def __getitem__(self, name: str) -> np.ndarray:
        """The mask of one kernel."""
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        """The kernels' names, in the model's order."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """How many kernels have one."""
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"Masks({len(self)} kernels, {self.pruned} of {self.total} weights pruned)"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Masks)
            and list(self) == list(other)
            and all(np.array_equal(array, other[name]) for name, array in self.items())
        )

    __hash__ = None  # type: ignore[assignment]  # as arrays

    @property
    def total(self) -> int:
        """Weights under masks."""
        return sum(array.size for array in self.values())

    @property
    def pruned(self) -> int:
        """How many of them are pruned."""
        return self.total - sum(int(np.count_nonzero(array)) for array in self.values())

    def sparsity(self, name: str | None = None) -> float:
        """The fraction that is pruned.

        Args:
            name: of a kernel; None: of all together.

        Returns:
            A fraction in 0–1 of the weights under masks.

        Raises:
            InputError: for a name without mask.
        """
        if name is None:
            return self.pruned / self.total if self.total else 0.0
        if name not in self._arrays:
            raise unknown_name("kernel", name, self)
        return 1 - float(np.count_nonzero(self[name])) / self[name].size

    def by_kernel(self) -> dict[str, float]:
        """The sparsity of each kernel, which one global threshold makes very unequal.

        Returns:
            name → fraction in 0–1.
        """
        return {name: self.sparsity(name) for name in self}

    def merge(self, older: Masks) -> Masks:
        """What both keep, so that what was pruned once stays pruned.

        Args:
            older: masks of the same or of other kernels.

        Returns:
            New masks of all kernels of both.

        Raises:
            InputError: if a kernel has other shapes in them.
        """
        merged = dict(self._arrays)
        for name, array in older.items():
            mine = merged.get(name)
            if mine is not None and mine.shape != array.shape:
                raise InputError(
                    f"masks of {mine.shape} and {array.shape} for {name}", "equal shapes", "check the model"
                )
            merged[name] = array if mine is None else mine & array
        return Masks(merged)

    def hold(self, model: keras.Model) -> None:
        """Zeroes the pruned weights now and after each step of `fit`, until `release`.

        Masks that hold the same kernels are replaced; a constraint that a layer already has is applied too. What is
        saved is the plain model: hold again after loading.

        Args:
            model: the one that will be fitted, compiled or not.

        Raises:
            InputError: if it has other kernels than these masks.
        """
        holding.hold(model, [(kernel.variable, self[kernel.name]) for kernel in self._matched(model)])

    def release(self, model: keras.Model) -> None:
        """Lets these kernels learn freely again, under the constraints they had before; pruned weights are zero then.

        Args:
            model: the one that was held.

        Raises:
            InputError: if it has other kernels than these masks.
        """
        holding.release(model, [kernel.variable for kernel in self._matched(model)])

    def measured(self, model: keras.Model) -> dict[str, float]:
        """The fraction of zeros that the kernels under these masks really have.

        Args:
            model: one with these kernels.

        Returns:
            name → fraction in 0–1, and "all" → that of all together.
        """
        holding.sync(model)
        zeros = {}
        for kernel in self._matched(model):
            zeros[kernel.name] = kernel.size - int(np.count_nonzero(kernel.numpy()))
        found = {name: count / self[name].size for name, count in zeros.items()}
        return {**found, "all": sum(zeros.values()) / self.total if self.total else 0.0}

    def violations(self, model: keras.Model) -> dict[str, int]:
        """Pruned weights that are not zero.

        Args:
            model: one with these kernels.

        Returns:
            name → how many, only where there are any.
        """
        holding.sync(model)
        found = {kernel.name: holding.stray(kernel.numpy(), self[kernel.name]) for kernel in self._matched(model)}
        return {name: count for name, count in found.items() if count}

    def callback(self, logdir: str | os.PathLike[str] | None = None) -> keras.callbacks.Callback:
        """The callback for `fit`: masks again what no step looks at, checks, and logs `sparsity`.

        Put it before the callbacks that judge or save the model.

        Args:
            logdir: TensorBoard's folder, where the sparsity of each kernel goes; None: only the epoch's logs.

        Returns:
            A `mask_callback.MaskCallback`.
        """
        from prune_tools.mask_callback import MaskCallback

        return MaskCallback(self, logdir)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the masks, a bit a weight, all or nothing.

        Args:
            path: a file ending in .npz.

        Raises:
            InputError: for another ending.
        """
        if os.path.splitext(path)[1] != ".npz":
            raise InputError(f"masks to be saved as {os.fspath(path)}", "a name ending in .npz", "rename it")
        index = json.dumps([[name, list(array.shape)] for name, array in self.items()])
        bits: dict[str, Any] = {f"bits_{number}": np.packbits(array) for number, array in enumerate(self.values())}
        with files.atomic_path(path) as temporary:
            np.savez_compressed(temporary, index=np.array(index), **bits)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Masks:
        """Reads what `save` wrote.

        Args:
            path: the file.

        Returns:
            The same masks.

        Raises:
            InputError: if the file is missing or something else.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {}
                for number, (name, shape) in enumerate(json.loads(str(stored["index"]))):
                    bits = np.unpackbits(stored[f"bits_{number}"], count=int(np.prod(shape)))
                    arrays[name] = bits.astype(bool).reshape(shape)
                return cls(arrays)
        except FileNotFoundError:
            raise InputError(f"{path}, which does not exist", "a file of masks", "check the path") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: {reason(error)}", "a file that Masks.save wrote", "save it again") from error

    def _matched(self, model: keras.Model) -> list[Any]:
        """The model's kernels under these masks."""
        known = {kernel.name: kernel for kernel in targets.walk(model)}
        for name, array in self.items():
            if name not in known:
                raise unknown_name("kernel", name, known)
            if known[name].shape != array.shape:
                raise InputError(
                    f"a mask of shape {array.shape} for {name}",
                    f"the kernel's, {known[name].shape}",
                    "use masks that were made for this model",
                )
            targets.check_no_lora(known[name])
        return [known[name] for name in self]
