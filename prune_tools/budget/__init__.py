"""Which units of which layers go for a budget in multiply-adds, parameters or milliseconds.

>>> from prune_tools import budget, statistics, surgery
>>> found = statistics.collect(model, images)
>>> removals = budget.choose(model, found, score="residual", keep=0.5)
>>> print(removals)
>>> smaller = surgery.remove(model, removals, merge="least_squares", statistics=found)
"""

from prune_tools.budget.choosing import SCOPES, SCORES, Ranking, Removals, choose

__all__ = ["SCOPES", "SCORES", "Ranking", "Removals", "choose"]
