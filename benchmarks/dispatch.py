"""What dispatching, logging and looping cost, beside what users would otherwise take. One section a peer:

    python benchmarks/dispatch.py                     # all sections
    python benchmarks/dispatch.py pyribs import       # some
    python benchmarks/dispatch.py --quick pump        # smaller, for a look

Each section's module in `benchmarks/sections` says what is measured on both sides. The sides take turns in one run;
trust the ratios, not the absolute figures. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
from importlib import import_module

SECTIONS = {
    "pyribs": "sections.pyribs",
    "pump": "sections.pump",
    "evotorch": "sections.evotorch",
    "optuna": "sections.optuna",
    "import": "sections.importing",
    "memory": "sections.memory",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="fewer evaluations and rounds")
    options = parser.parse_args()
    met = [import_module(SECTIONS[name]).run(options.quick) for name in options.sections or SECTIONS]
    raise SystemExit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
