"""Many schedules, one after the other, and what they met."""

from __future__ import annotations

import gc
import os
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from unittest import mock

from simulation.harness import Simulation
from simulation.invariants import check, check_record
from simulation.schedule import Schedule

__all__ = ["COMPARED", "Campaign", "campaign", "verify"]

COMPARED = 50
"""Of so many schedules, one is run a second time in peace, and the records are compared."""
REPLAYED = 3
"""Of so many, one has its whole log replayed at the end, without snapshots; what resumes is replayed anyway."""
_COLLECT = 500


@dataclass
class Campaign:
    """What a range of seeds came to."""

    schedules: int = 0
    compared: int = 0
    """Whose record was compared with that of the undisturbed run."""
    cpu_seconds: float = 0.0
    met: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)
    """seed -> traceback"""

    def join(self, other: Campaign) -> None:
        """Add what others did."""
        self.schedules += other.schedules
        self.compared += other.compared
        self.cpu_seconds += other.cpu_seconds
        self.met.update(other.met)
        self.failed.update(other.failed)


def verify(seed: int, compare: bool | None = None) -> tuple[Simulation, bool]:
    """Run a schedule and check all that must hold; raises AssertionError, or whatever broke.

    Args:
        seed: of the schedule.
        compare: whether the record is compared with that of the undisturbed run; by default for one in `COMPARED`.

    Returns:
        The simulation, and whether its record was compared.
    """
    done = Simulation(Schedule.of(seed)).run()
    check(done, seed % REPLAYED == 0)
    wanted = seed % COMPARED == 0 if compare is None else compare
    return done, wanted and check_record(done)


def campaign(seeds: Iterable[int]) -> Campaign:
    """Verify all seeds, to the first that fails."""
    found = Campaign()
    started = time.process_time()
    gc.collect()
    gc.freeze()  # what is there already is there to stay
    gc.disable()  # a schedule leaves little behind: looking for it after each few is several times cheaper
    try:
        with warnings.catch_warnings(), mock.patch.dict(os.environ, clear=True):  # nothing secret to look for in notes
            warnings.simplefilter("ignore")  # budgets too small for an algorithm, and the like
            for seed in seeds:
                _add(found, seed)
                if found.failed:
                    break
                if found.schedules % _COLLECT == 0:
                    gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    found.cpu_seconds = time.process_time() - started
    return found


def _add(found: Campaign, seed: int) -> None:
    found.schedules += 1
    try:
        done, compared = verify(seed)
    except Exception:  # noqa: BLE001 - a bug may raise anything; it is reported with its seed
        found.failed[seed] = traceback.format_exc()
        return
    found.compared += compared
    found.met.update(done.met)
    found.met["resumed"] += done.sessions
