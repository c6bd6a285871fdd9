"""What is refused before a search begins, because nothing could be measured with it, or nothing could be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evo.errors import ConfigError
from problems.evopress.pruning import METHODS

if TYPE_CHECKING:
    from problems.evopress.problem import EvoPress

__all__ = ["check_arguments", "check_model"]


def check_arguments(problem: EvoPress) -> None:
    """Look at the arguments alone.

    Raises:
        ConfigError: one is out of its range, or no whole number.
    """
    length = problem.length
    numbers = {
        "length": length,
        "levels": problem.most,
        "step": 1 if problem.step is None else problem.step,
        "calibration_tokens": problem.calibration_tokens,
        "full_tokens": problem.full_tokens,
        "held_out_tokens": problem.held_out_tokens,
        "top": problem.top,
        "threads": problem.threads,
    }
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{name}: expected a whole number, got {value!r}")
    least = {"length": 2, "levels": 0, "step": 1, "held_out_tokens": length, "top": 1, "threads": 1}
    for name, bound in least.items():
        if numbers[name] < bound:
            raise ConfigError(f"{name}: expected {bound} or more, got {numbers[name]}")
    if not length <= problem.full_tokens <= problem.calibration_tokens:
        raise ConfigError(
            f"full_tokens: expected {length} (length) to {problem.calibration_tokens} (calibration_tokens), "
            f"got {problem.full_tokens}"
        )
    if problem.pruning not in METHODS:
        raise ConfigError(f"pruning: expected one of {', '.join(METHODS)}, got {problem.pruning!r}")


def check_model(problem: EvoPress) -> None:
    """Look at the arguments and the model together.

    Raises:
        ConfigError: rows that the model cannot read, or a single combination of levels, which leaves nothing to search.
    """
    context = problem.outline.context
    if context is not None and problem.length > context:
        raise ConfigError(f"length: expected 2 to {context}, the longest that this model reads, got {problem.length}")
    if problem.space.rigid:
        raise ConfigError(
            "levels: a single combination meets the budget, so there is nothing to search; take a sparsity between 0 "
            "and 1, a smaller step, or more levels (and allow them)"
        )
