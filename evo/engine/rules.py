"""When a run ends: the budget, and rules that are logged when they fire."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from evo.engine.tally import Tally
from evo.errors import ConfigError
from evo.problem import Problem

__all__ = ["Rules"]

REPEATS_TO_EXHAUSTION = 20_000
"""Requests told in a row that were all repeats: the space within reach has been measured."""


@dataclass(frozen=True)
class Rules:
    """Limits of a run. All but `seconds` depend on the moves alone, so they fire at the same move for any workers."""

    evaluations: float | None = None
    seconds: float | None = None
    """Of this run over all its sessions."""
    target: float | None = None
    """Stop when the first objective is at least as good."""
    plateau: float | None = None
    """Stop after so many evaluations without a better best or a gain in an archive."""
    failures: int = 100
    """Stop when so many requests failed and none ever succeeded."""

    def __post_init__(self) -> None:
        for name, least, whole in (
            ("evaluations", 1, True),
            ("seconds", 0, False),
            ("plateau", 0, False),
            ("failures", 1, True),
        ):
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value) or value < least or value == 0 or (whole and value != int(value)):
                expected = f"a whole number of at least {least}" if whole else f"a number above {least}"
                raise ConfigError(f"{name}: expected {expected}, got {value}")
        if self.target is not None and math.isnan(self.target):
            raise ConfigError("target: expected a number, got nan")

    def room(self, tally: Tally) -> float:
        """How many more evaluations may be asked for."""
        if self.evaluations is None:
            return math.inf
        return round(self.evaluations - tally.evaluations - tally.reserved, 9)  # as the tally rounds parts of one

    def verdict(self, tally: Tally, problem: Problem) -> tuple[str, str] | None:
        """(state, reason) when a rule ends the run after a tell, else None."""
        if tally.good == 0 and sum(tally.failures.values()) >= self.failures:
            return (
                "failed",
                f"all of the first {sum(tally.failures.values())} evaluations failed: {tally.first_failure}",
            )
        if problem.nonfinite == "refuse" and tally.failures.get("invalid"):
            return "failed", f"a result was refused (nonfinite='refuse'): {tally.first_failure}"
        if self.target is not None and tally.best is not None:
            sign = problem.objectives[0].sign
            if sign * tally.best.objectives[0] >= sign * self.target:
                return "stopped", f"target {self.target:g} reached: {tally.best.objectives[0]:g}"
        if self.plateau is not None and tally.since_gain >= self.plateau:
            return "stopped", f"no gain in {tally.since_gain:g} evaluations"
        if tally.repeats_running >= REPEATS_TO_EXHAUSTION:
            return "stopped", f"the last {tally.repeats_running} requests repeated earlier work"
        return None

    def final(self, tally: Tally, reason: str) -> tuple[str, str]:
        """(state, reason) of a run that came to its end: a failure when nothing ever succeeded."""
        failures = sum(tally.failures.values())
        if failures and not tally.good:
            return "failed", f"all {failures} evaluations failed: {tally.first_failure}"
        return "finished", reason

    def describe(self) -> dict[str, Any]:
        """For the run's header."""
        return {
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "target": self.target,
            "plateau": self.plateau,
            "failures": self.failures,
        }
