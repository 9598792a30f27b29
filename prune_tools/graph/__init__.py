"""Channel groups: which units of which layers of a functional model can only be removed together, and who reads them.

    >>> from prune_tools import graph
    >>> print(graph.Graph(model))

Tensors are channels last. What cannot be cut is frozen with a reason, which the error quotes when someone tries.
"""

from prune_tools.graph import layer_rules as _layer_rules  # noqa: F401  (fills the table of rules)
from prune_tools.graph.call import Call, register
from prune_tools.graph.groups import Graph, Group, Reader, Site

__all__ = ["Call", "Graph", "Group", "Reader", "Site", "register"]
