"""Spaces: what genomes can be. Boxes, integers, bit masks, categories, levels under a budget, permutations, products,
JSON-like values.
"""

from evo.spaces.box import Box
from evo.spaces.categorical import Categorical
from evo.spaces.integers import Integers
from evo.spaces.json_value import Json
from evo.spaces.keys import row_keys
from evo.spaces.levels import Levels
from evo.spaces.mask import BitMask
from evo.spaces.mixed import Mixed
from evo.spaces.permutation import Permutation

__all__ = ["BitMask", "Box", "Categorical", "Integers", "Json", "Levels", "Mixed", "Permutation", "row_keys"]
