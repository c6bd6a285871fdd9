"""Rungs of successive halving: how many come through, and how the contestants of each are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evo.errors import ConfigError
from evo.problem import Problem

__all__ = ["Rung", "affordable", "rungs_from"]


@dataclass(frozen=True)
class Rung:
    """One measurement of all contestants on one common draw, and the selection after it."""

    survivors: int = 1
    """How many come through."""
    fidelity: str = "rung"
    reserve: float = 1.0
    """What measuring one contestant takes from the evaluation budget."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Of the requests, as the evaluator reads them: ``{"tokens": 2048}``."""

    def reports(self, reporting: str) -> bool:
        """Whether it measures as the reporting fidelity does."""
        return self.fidelity == reporting and not self.params

    def check(self, where: str, problem: Problem) -> None:
        """Refuse what the problem's evaluator cannot do.

        Raises:
            ConfigError: it has no such fidelity, it refuses the parameters, or these would make its reporting fidelity
                another measurement.
        """
        evaluator = problem.evaluator
        if self.fidelity not in evaluator.fidelities:
            known = " or ".join(map(repr, evaluator.fidelities))
            raise ConfigError(f"{where}.fidelity: {type(problem).__name__} has {known}, got {self.fidelity!r}")
        if self.fidelity == evaluator.reporting and self.params:
            raise ConfigError(
                f"{where}: {', '.join(self.params)} at the reporting fidelity {self.fidelity!r} would be taken for its "
                "measurement; name another fidelity"
            )
        try:
            evaluator.check(self.fidelity, self.params)
        except ConfigError as error:
            raise ConfigError(f"{where}.{error}") from error


def rungs_from(specs: Sequence[Mapping[str, Any]], offspring: int) -> list[Rung]:
    """The rungs that a configuration describes: every key but survivors, fidelity and reserve is a parameter.

    Raises:
        ConfigError: survivors that are missing, no whole number, more than come in, or not 1 at the end; a reserve that
            is not above 0 and at most 1.
    """
    rungs = []
    most = offspring
    for place, spec in enumerate(specs):
        where = f"rungs[{place}]"
        params = dict(spec)
        survivors = params.pop("survivors", None)
        fidelity = params.pop("fidelity", "rung")
        reserve = params.pop("reserve", 1.0)
        if isinstance(survivors, bool) or not isinstance(survivors, int) or not 1 <= survivors <= most:
            raise ConfigError(f"{where}.survivors: expected a whole number from 1 to {most}, got {survivors!r}")
        if isinstance(reserve, bool) or not isinstance(reserve, int | float) or not 0 < reserve <= 1:
            raise ConfigError(f"{where}.reserve: expected a number above 0 and at most 1, got {reserve!r}")
        if not isinstance(fidelity, str):
            raise ConfigError(f"{where}.fidelity: expected the name of a fidelity, got {fidelity!r}")
        rungs.append(Rung(survivors, fidelity, float(reserve), params))
        most = survivors
    if rungs and rungs[-1].survivors != 1:
        raise ConfigError(f"rungs[{len(rungs) - 1}].survivors: expected 1 in the last rung, got {rungs[-1].survivors}")
    return rungs


def affordable(steps: Sequence[Rung], most: int, budget: float, *, parent: bool) -> int:
    """The most children, of at most `most`, with which a generation's reserves do not exceed the budget.

    Args:
        steps: the rungs.
        most: children wanted.
        budget: what is left, in evaluations.
        parent: whether the parent joins in the last rung.
    """
    for children in range(most, 0, -1):
        cost = steps[-1].reserve if parent else 0.0
        contestants = children
        for rung in steps:
            cost += contestants * rung.reserve
            contestants = min(contestants, rung.survivors)
        if cost <= budget + 1e-9:
            return children
    return 0
