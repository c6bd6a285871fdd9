"""Archives: what a search keeps.

An archive holds elites: candidates that were the best of their kind when they were offered and have not been beaten
since. What "their kind" means is the archive's own: `Grid` divides the measures into cells and keeps the best candidate
of each, `Top` has one kind and keeps the best few. Both share one store of columns (`store`) and the grid's insertion
rule (`insert`), which exists twice with identical results: in numpy, and compiled where numba is installed.
"""

from evo.archives.grid import Grid
from evo.archives.top import Top

__all__ = ["Grid", "Top"]
