"""Problems: what is searched. One file or folder a world: its space, objectives, measures, data, and how it is shown.

A problem knows nothing of algorithms, workers or runs. `README.md` beside this file lists the worlds, their sources and
their known results; `evo.testing.problems` holds the conformance check that each of them passes, and that yours can.
"""
