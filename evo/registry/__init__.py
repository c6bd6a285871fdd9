"""The registry: names -> classes -> objects.

`names` knows what our plug-ins and other packages' are called; `modules` finds ``module:Class`` in the user's folders;
`construct` checks parameters and builds.
"""

from evo.registry.modules import nearest, search_in, searched
from evo.registry.names import BUILT_IN, KINDS, Entry, available, base_of, build, describe, resolve, short_name

__all__ = [
    "BUILT_IN",
    "KINDS",
    "Entry",
    "available",
    "base_of",
    "build",
    "describe",
    "nearest",
    "resolve",
    "search_in",
    "searched",
    "short_name",
]
