"""How fast formulas for constants are found: CPU seconds beside the original's code, and how two workers share the job.

The tasks, all inline on one core, after imports and with compiled kernels cached:

- *space A*: e, degree 1, coefficients up to 2, signs of period 2, depth 105. With `--original DIR`, a checkout of
  RamanujanMachine's public code, and `--original-python PYTHON`, an interpreter that can run it (sympy 1.6, mpmath,
  gmpy2, ortools, numpy, scipy, pandas, matplotlib), the original does the same in the same run; without, its recorded
  time on space B is used (commit 6f8198f: 61.6 CPU seconds).
- *space B*: e, degree 1, coefficients up to 3, signs of periods 1 to 3, depth 100, every formula proved to 1000 digits.
- *coefficients to 10*, simple fraction first.
- *screen*: sequences a second in space B, and the simple fractions alone (`euclid`).
- `--parallel` (minutes): 6 million pairs over pi inline and on two Ray workers.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sections.common import cpu_of_tree, ray_here, show, verdict

import evo
from problems.esma.constant import Constant
from problems.esma.expansion import Expander
from problems.esma.left_hand_side import canonical, pairs
from problems.esma.problem import Esma
from problems.esma.screen import Screening

RECORDED = 61.6
"""CPU seconds of the original on space B, as measured once."""
BLOCK = 512


def cpu_of(task: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Least CPU seconds of some rounds, and the last result."""
    best, found = math.inf, None
    for _ in range(rounds):
        started = time.process_time()
        found = task()
        best = min(best, time.process_time() - started)
    return best, found


def searched(shard: int, **arguments: Any) -> Any:
    """One search, inline, with its log in memory."""
    return evo.search(Esma(**arguments), evo.Enumeration(shard), seed=1)


def whole_searches(rounds: int, original: tuple[Path, str] | None) -> bool:
    """Searches from start to end: enumeration, screen, proofs, log, report."""
    tasks: list[tuple[str, dict[str, Any], float, float | None]] = [
        ("space A", {"coefficients": 2, "sign_periods": (2, 2), "depth": 105}, math.inf, None),
        ("space A, as the original", parity(), math.inf, None),
        ("space B", {"coefficients": 3}, 2.0, RECORDED),
        ("coefficients to 10, simple first", {"coefficients": 10, "screen": "simple_first"}, 5.0, None),
    ]
    rows, good = [], True
    reference = original_cpu(*original) if original else None
    for name, arguments, target, recorded in tasks:
        spent, run = cpu_of(lambda arguments=arguments: searched(2000, **arguments), rounds)
        beside = reference if name.startswith("space A") else recorded
        ratio = f"{beside / spent:,.0f}x" if beside else ""
        good = good and spent <= target
        aim = f"<= {target:g} s" if math.isfinite(target) else ""
        rows.append(
            (
                name,
                f"{run.summary['sequences']:,}",
                f"{run.summary['formulas_verified']:,}",
                f"{spent:.3f} s",
                f"{beside:.1f} s" if beside else "",
                ratio,
                aim,
                verdict(spent <= target) if aim else "",
            )
        )
    columns = ("search", "sequences", "verified", "CPU", "original", "ratio", "target", "")
    show("Whole searches, proofs to 1000 digits included", columns, rows)
    return good


def parity() -> dict[str, Any]:
    """Space A with the original's rules."""
    rules = {"method": "original", "modulus": 199, "digits": 100}
    return {"coefficients": 2, "sign_periods": (2, 2), "depth": 105, **rules}


def original_cpu(folder: Path, python: str) -> float:
    """CPU seconds of the original's code on space A, its imports taken off."""
    search = "-mode search -constant e -cycle_range 2 2 -depth 105 -poly_deg 1 -coeff_lim 2 -no_print"
    environment = {**os.environ, "PYTHONPATH": str(folder)}

    def spent(*arguments: str) -> float:
        before = os.times()
        subprocess.run([python, *arguments], cwd=folder / "ESMA", env=environment, check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    return spent("main.py", "ESMA", *search.split()) - spent("-c", "import main")


def screens(rounds: int) -> bool:
    """The screen alone, in sequences, and the simple fractions alone."""
    rows, good = [], True
    for name, arguments in (
        ("e, space B", {"coefficients": 3}),
        ("pi, coefficients to 10", {"constant": "pi", "coefficients": 10}),
        ("pi, signs of periods 1 to 6", {"constant": "pi", "coefficients": 5, "sign_periods": (1, 6)}),
        ("pi, simple first", {"constant": "pi", "coefficients": 10, "screen": "simple_first"}),
    ):
        settings = Esma(**arguments).settings
        screening = Screening(settings)

        def task(settings: Any = settings, screening: Screening = screening) -> int:
            above, below = canonical(0, settings.ranks, settings.degree, settings.coefficients)
            screening.hits(above, below)
            return len(above)

        spent, count = cpu_of(task, rounds)
        rate = count * len(settings.patterns) / spent
        good = good and rate >= 150_000
        micro = f"{spent / count * 1e6:.2f}"
        rows.append((name, f"{count:,}", f"{rate:,.0f}", micro, ">= 150,000", verdict(rate >= 150_000)))
    show("Enumeration and screen", ("space", "left-hand sides", "sequences/s", "us/side", "target", ""), rows)
    return good


def fractions(rounds: int) -> None:
    """Simple continued fractions: how far from 1 us a left-hand side, and from the divisions alone."""
    above, below = canonical(0, pairs(1, 10), 1, 10)
    rows = []
    for terms, bits in ((64, 320), (100, 470), (202, 872), (2500, 3400)):
        expander = Expander(Constant("e"), 1, bits)
        count = 0

        def task(terms: int = terms, bits: int = bits, expander: Expander = expander) -> int:
            return sum(
                int(expander.terms(above[i : i + BLOCK], below[i : i + BLOCK], bits, terms)[1].sum())
                for i in range(0, len(above), BLOCK)
            )

        spent, count = cpu_of(task, rounds)
        rows.append((f"{terms} terms, {bits} bits", f"{count / len(above):.0f}", f"{spent / len(above) * 1e6:.2f}"))
    columns = ("simple fractions of (a e + b)/(c e + d)", "terms certified", "us/side")
    show("Certified expansion", columns, rows, note="aim: 1 us a side for 64 terms")


class Sampler:
    """An `evo` monitor that remembers the CPU time of all processes as of the last look."""

    spent: Mapping[str, float]

    def start(self, header: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def update(self, totals: Mapping[str, Any]) -> None:
        """Look."""
        self.spent = cpu_of_tree()

    def finish(self, run: Any) -> None:
        """Nothing to do: the workers are gone by now."""


def parallel() -> bool:
    """The same job inline and on two workers: CPU in all, the workers' start included, and how busy each is."""
    job: dict[str, Any] = {"constant": "pi", "degree": 2, "coefficients": 8}
    shard = 20_000
    started, wall = time.process_time(), time.perf_counter()
    alone = searched(shard, **job)
    alone_cpu, alone_wall = time.process_time() - started, time.perf_counter() - wall
    sampler = Sampler()
    with ray_here():
        before, wall = sum(cpu_of_tree().values()), time.perf_counter()
        shared = evo.search(Esma(**job), evo.Enumeration(shard), seed=1, workers=2, monitor=sampler)
        shared_wall = time.perf_counter() - wall
    shared_cpu = sum(sampler.spent.values()) - before
    same = {name: alone.summary[name] == shared.summary[name] for name in ("left_hand_sides", "formulas_verified")}
    shares = [worker["share"] for worker in shared.workers()]
    ratio = shared_cpu / alone_cpu
    good = ratio <= 1.1 and min(shares) >= 0.9 and all(same.values())
    rows = [
        ("inline", f"{alone_wall:.1f} s", f"{alone_cpu:.1f} s", "", ""),
        (
            "two Ray workers",
            f"{shared_wall:.1f} s",
            f"{shared_cpu:.1f} s ({ratio:.2f}x)",
            ", ".join(f"{share:.1%}" for share in shares),
            verdict(good),
        ),
    ]
    note = "targets: CPU <= 1.1x, each worker busy >= 90 %, equal counts"
    show(f"{alone.summary['left_hand_sides']:,} left-hand sides", ("", "wall", "CPU", "busy", ""), rows, note=note)
    return good


def main() -> None:
    """Run what was asked for; exit with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of each")
    parser.add_argument("--parallel", action="store_true", help="also the job on two workers: minutes")
    parser.add_argument("--original", type=Path, help="a checkout of the original's code")
    parser.add_argument("--original-python", default=sys.executable, help="an interpreter that can run it")
    given = parser.parse_args()
    rounds = 1 if given.quick else 5
    searched(2000, coefficients=1)  # kernels loaded, powers of the constant known
    good = [
        whole_searches(rounds, (given.original.resolve(), given.original_python) if given.original else None),
        screens(rounds),
    ]
    fractions(rounds)
    if given.parallel:
        good.append(parallel())
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
