"""Every sign pattern of one simple continued fraction in one call: rewrite, look for a law, weigh its evidence.

A law is a hit when the terms that it predicts, beyond those that fix it, carry enough bits: the chance that a random
number follows it that far is 2**-bits. With fewer it is faint, for more terms to decide; but runs of 2 under the sign
-1, which any large term of the simple fraction causes, carry next to none however long they are, and are weak.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from problems.esma.compiled import compiled, read, types, write
from problems.esma.cylinder import digits, evidence, rate
from problems.esma.interlaced import detect, newton
from problems.esma.signs import rewrite

__all__ = ["FAINT", "HIT", "NONE", "SHORT", "WEAK", "screen_patterns", "screen_rows", "verify_patterns"]

NONE, HIT, WEAK, SHORT, FAINT = 0, 1, 2, 3, 4
"""What was found for a pattern: no law, a law, a run of 2 without evidence, too few terms of the simple fraction, and a
law that needs more terms for its evidence."""

_RATE_TERMS = 100

_i, _f = types.int64, types.float64


@compiled(_i(read(_i), _i, read(types.int8, 2), read(_i), _i, _i, _f, write(_i), write(types.uint8)))
def _screen(
    scf: NDArray[np.int64],
    count: int,
    patterns: NDArray[np.int8],
    lengths: NDArray[np.int64],
    max_order: int,
    matched: int,
    min_bits: float,
    work: NDArray[np.int64],
    hits: NDArray[np.uint8],
) -> int:
    found, depth = 0, len(work)
    for i in range(len(lengths)):
        pattern = patterns[i, : lengths[i]]
        if rewrite(scf, count, pattern, work) < depth:
            hits[i] = SHORT
            continue
        k, d, r = detect(work, depth, max_order, matched)
        if k == 0:
            hits[i] = NONE
        elif evidence(work, r + k * (d + 1), depth, pattern)[1] >= min_bits:
            hits[i] = HIT
            found += 1
        else:
            hits[i] = WEAK if k == 1 and d == 0 and work[depth - 1] == 2 and pattern.max() < 0 else FAINT
    return found


@compiled(_i(read(_i), _i, read(types.int8, 2), read(_i), _i, _i, _i, _f, write(types.uint8)))
def screen_patterns(
    scf: NDArray[np.int64],
    count: int,
    patterns: NDArray[np.int8],
    lengths: NDArray[np.int64],
    depth: int,
    max_order: int,
    matched: int,
    min_bits: float,
    hits: NDArray[np.uint8],
) -> int:
    """Look at ``depth`` signed terms under each pattern; writes NONE, HIT, WEAK, SHORT or FAINT to ``hits``.

    Args:
        scf: (T,) terms of a simple fraction, below 2**31.
        count: how many of them are known.
        patterns: (np, Jmax) periods of signs, left-aligned.
        lengths: (np,) their lengths.
        depth: signed terms to look at.
        max_order: the largest order k(d+1) of a law.
        matched: predicted terms asked for, as in `interlaced.detect`.
        min_bits: evidence asked for, in bits.
        hits: (np,) receives the outcomes.

    Returns:
        How many patterns are a HIT.
    """
    return _screen(scf, count, patterns, lengths, max_order, matched, min_bits, np.empty(depth, np.int64), hits)


@compiled(_i(read(_i, 2), read(_i), read(types.int8, 2), read(_i), _i, _i, _i, _f, write(types.uint8, 2)))
def screen_rows(
    terms: NDArray[np.int64],
    counts: NDArray[np.int64],
    patterns: NDArray[np.int8],
    lengths: NDArray[np.int64],
    depth: int,
    max_order: int,
    matched: int,
    min_bits: float,
    hits: NDArray[np.uint8],
) -> int:
    """`screen_patterns` for each row of ``terms`` (n, T) with ``counts`` (n,) known terms; ``hits`` is (n, np)."""
    work = np.empty(depth, np.int64)
    found = 0
    for row in range(len(terms)):
        found += _screen(terms[row], counts[row], patterns, lengths, max_order, matched, min_bits, work, hits[row])
    return found


@compiled(
    _i(read(_i), _i, read(types.int8, 2), read(_i), _i, _i, _i, _f, write(_i), write(_i, 2), write(_f, 2), write(_i, 2))
)
def verify_patterns(
    scf: NDArray[np.int64],
    count: int,
    patterns: NDArray[np.int8],
    lengths: NDArray[np.int64],
    depth: int,
    max_order: int,
    matched: int,
    min_bits: float,
    work: NDArray[np.int64],
    results: NDArray[np.int64],
    figures: NDArray[np.float64],
    coefficients: NDArray[np.int64],
) -> int:
    """Fit each pattern's law to all terms that follow from ``scf``, and say how much they prove.

    Only laws count that the first ``depth`` terms show already (r + order + matched <= depth) and that hold to the last
    term. A formula that keeps to such a law and stays regular agrees with the number to all the digits given here.

    Args:
        scf, count, patterns, lengths, depth, max_order, matched, min_bits: as in `screen_patterns`.
        work: (W,) scratch; at most W signed terms of a pattern are used.
        results: (np, 8) receives status (NONE, HIT, WEAK, or SHORT for fewer than ``depth`` terms), k, d, r, the number
            of signed terms n, how many of them are predicted, and two zeros.
        figures: (np, 3) receives the digits pinned down by the n terms, the evidence in bits, and the rate at the first
            100 terms in digits a term.
        coefficients: (np, max_order) receives k rows of d + 1 Newton coefficients one after the other, then zeros.

    Returns:
        How many patterns are a HIT.
    """
    found = 0
    results[:] = 0
    figures[:] = 0.0
    coefficients[:] = 0
    for i in range(len(lengths)):
        pattern = patterns[i, : lengths[i]]
        n = rewrite(scf, count, pattern, work)
        results[i, 4], figures[i, 0] = n, digits(work, n, pattern)
        if n < depth:
            results[i, 0] = SHORT
            continue
        k, d, r = detect(work, n, max_order, n - depth + max(matched, 1))
        if k == 0:
            continue
        given = r + k * (d + 1)
        bits = evidence(work, given, n, pattern)[1]
        results[i, 0] = HIT if bits >= min_bits else WEAK
        results[i, 1], results[i, 2], results[i, 3], results[i, 5] = k, d, r, n - given
        figures[i, 1], figures[i, 2] = bits, rate(work, _RATE_TERMS, n, pattern)
        newton(work, k, d, r, coefficients[i, : k * (d + 1)].reshape(k, d + 1))
        found += bits >= min_bits
    return found
