"""Operators on levels under a budget."""

from operators.budget.switch import LevelSwitch

__all__ = ["LevelSwitch"]
