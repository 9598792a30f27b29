"""Distinctiveness: units whose outputs over the data point the same way are redundant.

>>> from prune_tools import distinctiveness, statistics
>>> found = statistics.collect(model, images)["hidden"]
>>> angles = distinctiveness.angles(found.gram, found.sums, found.count)
>>> pairs = distinctiveness.select(angles, rule="threshold", below=15)
>>> smaller = surgery.remove(model, {"hidden": pairs}, merge="outgoing")
"""

from prune_tools.distinctiveness.angles import CENTRES, angles, merged
from prune_tools.distinctiveness.nearest import Nearest
from prune_tools.distinctiveness.prune import prune
from prune_tools.distinctiveness.select import RULES, select

__all__ = ["CENTRES", "RULES", "Nearest", "angles", "merged", "prune", "select"]
