"""Which channels are the same channel, and which can only go together: two union-finds over numbered channels."""

from __future__ import annotations

import numpy as np


class _Union:
    """Disjoint sets of the numbers 0 … n − 1; the smallest member stands for its set."""

    def __init__(self) -> None:
        self.parent: list[int] = []

    def find(self, item: int) -> int:
        root = item
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[item] != root:
            self.parent[item], item = root, self.parent[item]
        return root

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.find(one), self.find(other)))
        self.parent[high] = low

    def roots(self) -> np.ndarray:
        return np.array([self.find(item) for item in range(len(self.parent))], dtype=np.int64)


class Atoms:
    """Numbered channels.

    Two atoms can be `same`: added to each other or held in one row of a weight, they are one unit under two names.
    They can be `tied`: different units of which none can be removed without the others.
    """

    def __init__(self) -> None:
        self._same, self._tied = _Union(), _Union()
        self._frozen: dict[int, str] = {}

    def fresh(self, count: int, frozen: str | None = None) -> np.ndarray:
        """`count` new atoms, shape (count,); `frozen`: why they can never be removed."""
        first = len(self._same.parent)
        numbers = range(first, first + count)
        self._same.parent += numbers
        self._tied.parent += numbers
        if frozen is not None:
            self._frozen.update(dict.fromkeys(numbers, frozen))
        return np.arange(first, first + count)

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Makes the atoms at the same positions of two arrays of one length the same."""
        for left, right in zip(one.tolist(), other.tolist(), strict=True):
            self._same.join(left, right)
            self._tied.join(left, right)

    def tie(self, rows: np.ndarray) -> None:
        """Makes the atoms of each row, shape (rows, atoms), removable only together."""
        for row in np.atleast_2d(rows).tolist():
            for other in row[1:]:
                self._tied.join(row[0], other)

    def freeze(self, atoms: np.ndarray, reason: str, first: bool = False) -> None:
        """Says why these atoms can never be removed; an earlier reason stays unless this one is to come `first`."""
        for atom in atoms.tolist():
            self._frozen[atom] = reason if first else self._frozen.get(atom, reason)

    def same(self) -> np.ndarray:
        """The unit of every atom, shape (atoms,)."""
        return self._same.roots()

    def tied(self) -> np.ndarray:
        """The block of every atom, that is all that goes when it goes, shape (atoms,)."""
        return self._tied.roots()

    def frozen(self) -> dict[int, str]:
        """Block → why it can never be removed."""
        found: dict[int, str] = {}
        for atom, reason in sorted(self._frozen.items()):
            found.setdefault(self._tied.find(atom), reason)
        return found
