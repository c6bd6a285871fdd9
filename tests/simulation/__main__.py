"""`make simulate`: as many schedules as wanted, on several processes; the seed that fails, and how to run it alone."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from simulation.campaign import Campaign, campaign

BATCH = 250
"""Seeds a process takes at a time."""
PATIENCE = 3600.0
"""Seconds for a batch; an endless loop inside one tick is a failure too."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where an invariant failed."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    total = Campaign()
    seeds = range(options.first, options.first + options.schedules)
    batches = [seeds[at : at + BATCH] for at in range(0, len(seeds), BATCH)]
    with ProcessPoolExecutor(options.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(campaign, batch) for batch in batches]
        for future in as_completed(running, timeout=PATIENCE * max(1, len(batches) // options.processes)):
            total.join(future.result(timeout=PATIENCE))
            if total.failed:
                pool.shutdown(wait=True, cancel_futures=True)
                break
    _print(total, time.monotonic() - started)
    return 1 if total.failed else 0


def _print(total: Campaign, elapsed: float) -> None:
    each = 1000 * total.cpu_seconds / max(1, total.schedules)
    print(
        f"{total.schedules:,} schedules in {elapsed:.0f} s ({total.schedules / elapsed:.0f} a second), "
        f"{total.cpu_seconds:.0f} s of CPU ({each:.1f} ms each); the record of {total.compared:,} compared with "
        "that of the same run left in peace"
    )
    for kind, count in sorted(total.met.items()):
        print(f"  {kind:<24}{count:>10,}")
    for seed, text in sorted(total.failed.items()):
        print(
            f"\nseed {seed} failed:\n{text}\nalone: make simulate SCHEDULES=1 FIRST={seed} PROCESSES=1", file=sys.stderr
        )


if __name__ == "__main__":
    sys.exit(main())
