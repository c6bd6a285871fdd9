"""The doctor: what may keep a search from running well on this machine or cluster, each with its remedy.

One idea a module; a check is a function that says some `Finding`s. `examine` runs each within a deadline of its own.
"""

from evo.doctor.finding import Check, Finding, Place, examine
from evo.doctor.rounds import CHECKS, checks_for

__all__ = ["CHECKS", "Check", "Finding", "Place", "checks_for", "examine"]
