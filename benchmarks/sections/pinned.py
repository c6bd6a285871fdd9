"""A cheap problem whose messages hold exactly as many rows as the other side's."""

from __future__ import annotations

from collections.abc import Mapping

from evo.evaluator import Evaluator, Fidelity, FunctionEvaluator
from problems.projection import Sphere

__all__ = ["PinnedSphere"]


class _Pinned(FunctionEvaluator):
    """Declares that rows belong together, so that strict order in blocks of `group` sends them as one message."""

    def __init__(self, problem: Sphere, group: int) -> None:
        super().__init__(problem)
        self.group = group

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        return {"full": Fidelity(group=self.group)}


class PinnedSphere(Sphere):
    """The projected sphere of ten numbers: one objective, two measures, about a microsecond each."""

    def __init__(self, group: int = 1) -> None:
        super().__init__(10)
        self.group = group

    @property
    def evaluator(self) -> Evaluator:
        """See `_Pinned`."""
        return _Pinned(self, self.group)
