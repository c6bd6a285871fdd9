"""The run file: the durable record of a run, one SQLite file that only the master writes.

`writer` logs moves, requests and results and the tables derived from them; `reader` answers questions about them;
`export` writes them out in other forms.
"""

from evo.store.reader import RunReader
from evo.store.writer import RunWriter

__all__ = ["RunReader", "RunWriter"]
