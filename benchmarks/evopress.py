"""How fast language models are compressed, and how well: EvoPress on the model that is shipped.

    python benchmarks/evopress.py                     # all: three quarters of an hour on two cores
    python benchmarks/evopress.py --quick             # fewer sizes and seeds, some minutes
    python benchmarks/evopress.py --only speed share  # some parts

- *speed*: candidates a second of CPU, one process, one thread: at least 3x the original's way of evaluating (levels
  loaded by name from disk, divergence over the whole vocabulary, one candidate and one sequence at a time), for 16 and
  64 children on 512, 2048 (the smallest published minibatch) and 4096 tokens.
  `sections/evopress_original.py` says what is taken for the original's way.
- *share*: forward passes are at least 85 % of the evaluator's time.
- *search*: `configs/evopress_sparsity.yaml` at the sparsity at which uniform levels cost 1.25 to 1.4 times the dense
  model's perplexity, 400 evaluations (of 4096 tokens, shares of them counted) for each arm, five seeds: held-out
  perplexity at least 3 % and divergence at least 10 % below uniform in 4 of 5, and below dynamic programming and random
  search on as many tokens. The aim is 6 % and 20 %.
- *depth*: 4 of 12 blocks left out, and 2 of 12 attention with 2 of 12 MLP sub-blocks: all are measured once; a search
  on that table, 16 children a generation, is at the optimum within 10 generations in 95 of 100 seeds.
- *parallel*: one search on one and on two Ray workers: total CPU at most 1.15x, each worker busy at least 90 %.

Exits with 1 when a target is missed. Ratios are of CPU time and taken in turns; shares of a worker's time and the wall
clock need a quiet machine.
"""

from __future__ import annotations

import argparse
from importlib import import_module

PARTS = {
    "speed": "evopress_speed",
    "share": "evopress_speed",
    "depth": "evopress_depth",
    "search": "evopress_search",
    "parallel": "evopress_search",
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="some parts")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and seeds")
    given = parser.parse_args()
    met = [getattr(import_module(f"sections.{PARTS[part]}"), part)(given.quick) for part in given.only]
    raise SystemExit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
