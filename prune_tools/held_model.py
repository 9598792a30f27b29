"""A model that loses units without changing its shapes: they are held dead, and taken out for good at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from prune_tools import distinctiveness, holding, surgery
from prune_tools.cuts import plan
from prune_tools.distinctiveness.prune import free_groups
from prune_tools.folding import Folding
from prune_tools.graph import Graph
from prune_tools.statistics import Collector, Gram, Statistics, batches
from run_tools.errors import InputError

Pairs = list[tuple[int, "int | None"]]
TOLERANCE = 1e-3
"""How far outputs may move when dead units are taken out, as a part of the largest output."""
RIDGE = 1e-6
"""Of "least_squares", as `surgery.remove` has it."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a rule of one's own chooses from.

    Attributes:
        model: as it is now, dead units included.
        layer: whose units are looked at.
        living: their numbers in the layer as it is now; a rule answers with places in this array.
        gram: of the living units' outputs.
        step: number of the step, from 1.
        seed: of the loop.
    """

    model: keras.Model
    layer: str
    living: np.ndarray
    gram: Gram
    step: int
    seed: int


Rule = Callable[[Candidates, int], Pairs]


@dataclass(frozen=True)
class Chooser:
    """A selection rule with its options; fields as for `loops.progressive`."""

    rule: str | Rule
    batch: int
    centre: str
    options: Mapping[str, Any]
    seed: int

    def __call__(self, found: Candidates, count: int) -> Pairs:
        """At most `count` pairs, in places among the living."""
        if callable(self.rule):
            return self.rule(found, count)
        if self.rule == "random":
            drawn = np.random.default_rng((self.seed, found.step)).permutation(len(found.living))[:count]
            return [(int(unit), None) for unit in drawn]
        gram = found.gram
        degrees = distinctiveness.angles(gram.gram, gram.sums, gram.count, self.centre)
        return distinctiveness.select(degrees, self.rule, count, **self.options)


class HeldModel:
    """A copy of a model in which units die one by one while the widths stay.

    Args:
        model: functional, or a built Sequential; left as it is.
        layers: one layer of each group that gives units.
        data: inputs, as for `statistics.collect`, that can be run through again and again.
        batch_size: for arrays.

    Attributes:
        model: the copy as it is now.

    Raises:
        InputError: for layers whose units cannot go one by one.
    """

    def __init__(self, model: keras.Model, layers: Sequence[str], data: Any, batch_size: int) -> None:
        self._source, self._layers, self._data, self._batch_size = model, tuple(layers), data, batch_size
        self._statistics: Statistics | None = None
        graph = Graph(model)
        self._widths = {name: len(graph.channels(name)) for name in layers}
        free_groups(graph, layers)
        self._begin({name: np.arange(width) for name, width in self._widths.items()})

    def _begin(self, original: dict[str, np.ndarray], source: keras.Model | None = None) -> None:
        """A new working model of the units of some original numbers."""
        self._original = original
        gone = {name: np.setdiff1d(np.arange(self._widths[name]), left) for name, left in original.items()}
        self.model = surgery.remove(self._source, gone, merge="delete") if source is None else source
        self._graph = Graph(self.model)
        self._groups = free_groups(self._graph, self._layers)
        self._collector = Collector(self._graph)
        self._dead: dict[str, list[int]] = {name: [] for name in self._layers}
        self._hold()

    def left(self) -> dict[str, int]:
        """Units that live, by layer."""
        return {name: len(self._original[name]) - len(self._dead[name]) for name in self._layers}

    def removed(self) -> int:
        """Units gone, over all layers."""
        return sum(self._widths.values()) - sum(self.left().values())

    def _living(self, name: str) -> np.ndarray:
        return np.setdiff1d(np.arange(len(self._original[name])), self._dead[name])

    def choose(self, chooser: Chooser, step: int, floor: int, how: str) -> dict[str, Pairs]:
        """The next pairs of every layer that has units to give, in the working model's numbers."""
        found: dict[str, Pairs] = {}
        counts = {name: min(chooser.batch, left - floor) for name, left in self.left().items()}
        if max(counts.values()) <= 0:
            return found
        blind = chooser.rule == "random" and how == "delete"
        self._statistics = None if blind else self._collector.collect(self._data, self._batch_size)
        for name, count in counts.items():
            if count > 0:
                living = self._living(name)
                nothing = Gram(np.zeros((len(living), len(living))), np.zeros(len(living)), 1)
                gram = self._statistics[name].take(living) if self._statistics is not None else nothing
                chosen = chooser(Candidates(self.model, name, living, gram, step, chooser.seed), count)[:count]
                if chosen:
                    found[name] = [(int(living[a]), None if b is None else int(living[b])) for a, b in chosen]
        return found

    def named(self, pairs: dict[str, Pairs]) -> dict[str, Pairs]:
        """The pairs in the numbers that the units had at first."""
        return {
            name: [(int(self._original[name][a]), None if b is None else int(self._original[name][b])) for a, b in some]
            for name, some in pairs.items()
        }

    def fold(self, pairs: dict[str, Pairs], how: str) -> None:
        """Gives what the pairs' units did to others, in place, and holds them dead."""
        # Least squares must not lean on dead units; to the other rules they are rows of zeros.
        dead = self._dead if how == "least_squares" else {}
        wish = {name: [(unit, None) for unit in dead.get(name, [])] + some for name, some in pairs.items()}
        cuts = plan(self._graph, wish)
        cuts.paired.update(group.name for group in self._groups.values())
        folding = Folding(self._graph, cuts, how, self._statistics, RIDGE)
        if folding.new_biases:
            raise InputError(
                f"merge={how!r} into {', '.join(sorted(folding.new_biases))}, which has no bias",
                "layers with a bias",
                "build it with use_bias=True, or choose merge='outgoing' or 'delete'",
            )
        made = {step.name: step.layer for step in self._graph.flat.steps}
        for layer, attributes in folding.weights.items():
            for attribute, array in attributes.items():
                getattr(made[layer], attribute).assign(array)
        for name, some in pairs.items():
            self._dead[name] += [unit for unit, _ in some]
        self._hold()

    def _hold(self) -> None:
        made = {step.name: step.layer for step in self._graph.flat.steps}
        masks: dict[int, tuple[Any, np.ndarray]] = {}
        for name, group in self._groups.items():
            dead = group.members[name][self._dead[name]]
            for reader in group.readers:
                if reader.read.kernel is None:
                    continue
                variable = getattr(made[reader.layer], reader.read.kernel)
                _, lives = masks.setdefault(id(variable), (variable, np.ones(variable.shape, bool)))
                rows = np.moveaxis(lives, reader.read.axis, 0)
                for site in reader.sites:
                    places = site.columns[:, dead]
                    rows[places[places >= 0]] = False
        holding.hold(self.model, list(masks.values()))

    def cut(self, check: bool) -> None:
        """Takes the dead units out of the working model; `check` as for `finished`."""
        left = {name: self._original[name][self._living(name)] for name in self._layers}
        self._begin(left, self.finished(check))

    def finished(self, check: bool) -> keras.Model:
        """The smaller model, without dead units, not compiled and not held.

        Args:
            check: whether to compare outputs on the first inputs.

        Raises:
            InputError: if dead units still counted for something.
        """
        dead = {name: list(units) for name, units in self._dead.items()}
        smaller = surgery.remove(self.model, dead, merge="delete")
        if check:
            self._same(self.model, smaller)
        return smaller

    def _same(self, before: keras.Model, smaller: keras.Model) -> None:
        inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, next(iter(batches(self._data, 32))))
        outputs = [keras.tree.flatten(model(inputs, training=False)) for model in (before, smaller)]
        for one, other in zip(*outputs, strict=True):
            one, other = (keras.ops.convert_to_numpy(value).astype(np.float64) for value in (one, other))
            if not np.abs(one - other).max() <= TOLERANCE * max(np.abs(one).max(), 1e-9):
                raise InputError(
                    f"a model in which held units still count (outputs move by {np.abs(one - other).max():.3g})",
                    "layers that look at each unit alone",
                    "give cut_every=1",
                )

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `restore` needs."""
        found = {f"weight{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self.model.weights)}
        for i, name in enumerate(self._layers):
            found[f"original{i}"], found[f"dead{i}"] = self._original[name], np.array(self._dead[name], np.int64)
        return found

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """The model of some `arrays`."""
        original = {name: arrays[f"original{i}"] for i, name in enumerate(self._layers)}
        if any(not np.array_equal(original[name], self._original[name]) for name in self._layers):
            self._begin(original)
        for i, variable in enumerate(self.model.weights):
            variable.assign(arrays[f"weight{i}"])
        self._dead = {name: arrays[f"dead{i}"].tolist() for i, name in enumerate(self._layers)}
        self._hold()
