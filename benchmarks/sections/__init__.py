"""The sections of `benchmarks/dispatch.py`, one a file; each has `run(quick)`, which prints its table."""
