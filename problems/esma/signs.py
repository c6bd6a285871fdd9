"""Sign patterns, and the rewriting of a simple continued fraction into one with other signs, by small integers only.

A signed continued fraction is a_0 + b_0/(a_1 + b_1/(a_2 + ...)) with every b_n in {+1, -1}; b_n decides how a_n is
rounded: +1 down, -1 up. Write the rest of a simple fraction as [c0; c1, c2, ...]. A sign +1 emits c0 and leaves
[c1; c2, ...]. A sign -1 emits c0 + 1 and leaves [1; c1 - 1, c2, ...], or [c2 + 1; c3, ...] where c1 is 1, because
1/(1 - 1/x) = 1 + 1/(x - 1). So one expansion of a number yields all its signed fractions, term by term. (Dossier fact
F2; Perron, "Die Lehre von den Kettenbruechen", 1913, on semi-regular fractions.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from problems.esma.compiled import compiled, read, types, write

__all__ = ["pattern_table", "rewrite", "rewrite_exact", "sign_patterns"]

LONGEST = 16
"""The longest period that `sign_patterns` lists: 131,070 patterns for periods 1 to 16."""


def sign_patterns(shortest: int, longest: int) -> list[tuple[int, ...]]:
    """All periods of signs with ``shortest`` to ``longest`` entries: short ones first, -1 before +1.

    A pattern that repeats a shorter one inside the range is left out, so 2 to 2 lists (1, 1) and 1 to 2 does not. This
    is the list and the order of Razon et al. (ICML 2023).

    Raises:
        ConfigError: the range is empty, or reaches outside 1 to 16.
    """
    if not 1 <= shortest <= longest <= LONGEST:
        expected = f"expected 1 <= shortest <= longest <= {LONGEST}"
        raise ConfigError(f"signs: {expected} (the lengths of a period), got {shortest} to {longest}")
    return [
        pattern
        for length in range(shortest, longest + 1)
        for pattern in product((-1, 1), repeat=length)
        if not any(
            length % part == 0 and pattern == pattern[:part] * (length // part) for part in range(shortest, length)
        )
    ]


def pattern_table(patterns: Sequence[tuple[int, ...]]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Patterns for kernels: (np, longest) signs padded with zeros, and (np,) their lengths."""
    lengths = np.array([len(pattern) for pattern in patterns], np.int64)
    table = np.zeros((len(patterns), int(lengths.max(initial=0))), np.int8)
    for row, pattern in zip(table, patterns, strict=True):
        row[: len(pattern)] = pattern
    return table, lengths


@compiled(types.int64(read(types.int64), types.int64, read(types.int8), write(types.int64)))
def rewrite(scf: NDArray[np.int64], count: int, pattern: NDArray[np.int8], out: NDArray[np.int64]) -> int:
    """Signed terms that follow from the first ``count`` terms of a simple fraction, at most ``len(out)`` of them.

    Every irrational number whose simple fraction begins with those terms has these signed terms.

    Args:
        scf: (T,) terms of the simple fraction, at least 1 after the first.
        count: how many of them are known, at most T.
        pattern: (J,) the period of signs, +1 or -1.
        out: (n,) receives the terms; those of terms below 2**31 are at most 2**31 + 1.

    Returns:
        How many terms were written.
    """
    if count < 1:
        return 0
    wanted, period = len(out), len(pattern)
    done, phase = 0, 0
    # The rest of the fraction is [head; scf[at] - taken, scf[at + 1], ...].
    head, at, taken = scf[0], 1, 0
    while done < wanted:
        sign = pattern[phase]
        phase = phase + 1 if phase + 1 < period else 0
        if sign > 0:
            out[done] = head
            done += 1
            if at >= count:
                break
            head, at, taken = scf[at] - taken, at + 1, 0
        else:
            out[done] = head + 1
            done += 1
            if at >= count:
                break
            if scf[at] - taken > 1:
                head, taken = 1, taken + 1
            else:
                if at + 1 >= count:
                    break
                head, at, taken = scf[at + 1] + 1, at + 2, 0
    return done


def rewrite_exact(scf: Sequence[int], pattern: Sequence[int], terms: int) -> list[int]:
    """The same in Python integers of any size: at most ``terms`` signed terms that follow from ``scf``."""
    out: list[int] = []
    rest = list(reversed(scf))
    while rest and len(out) < terms:
        sign = pattern[len(out) % len(pattern)]
        head = rest.pop()
        if sign > 0:
            out.append(head)
            continue
        out.append(head + 1)
        if rest and rest[-1] > 1:
            rest[-1] -= 1
            rest.append(1)
        elif len(rest) > 1:
            rest.pop()
            rest[-1] += 1
        else:
            break
    return out
