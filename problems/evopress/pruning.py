"""Setting weights to zero: which ones, and how those that stay make up for them.

All three methods take a layer's weights (out, in) and the Gram matrix X'X (in, in) of its inputs, and choose weights in
one order per layer: each level takes the first so many of it. Ties go to the smaller weight, then to the earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from evo.errors import ConfigError, EvaluationError

__all__ = ["METHODS", "inverse_factor", "magnitude", "obs", "output_error", "prune", "wanda"]

METHODS = ("magnitude", "wanda", "obs")
DAMPING = 0.01
_COLUMNS = 32
"""Columns whose errors are passed on one by one before the rest of the matrix gets them in one product."""
_TOGETHER = 1 << 26
"""Bytes of float64 weights that are worked on at a time: several levels of a small layer, one of a large one."""


def magnitude(w: Tensor, zeros: int) -> Tensor:
    """The `zeros` smallest weights of the matrix set to zero."""
    return next(prune("magnitude", w, None, [zeros]))


def wanda(w: Tensor, norms: Tensor, zeros: int, *, by_row: bool = True) -> Tensor:
    """The `zeros` weights with the smallest |w| * norm set to zero.

    Source: Sun, Liu, Bair and Kolter, "A Simple and Effective Pruning Approach for Large Language Models", ICLR 2024.

    Args:
        w: (out, in)
        norms: (in,) the Euclidean norm of each input over the calibration tokens.
        zeros: how many.
        by_row: compare within each row, as published: every row gets as many zeros, and what is left over goes to the
            rows where it costs least. False: compare within the whole matrix.
    """
    return next(prune("wanda", w, torch.diag(norms.detach().double() ** 2), [zeros], by_row=by_row))


def obs(w: Tensor, gram: Tensor, zeros: int, *, damping: float = DAMPING) -> Tensor:
    """`zeros` weights removed, each error passed on to the columns to its right (optimal brain surgeon).

    The mask is chosen once for the whole matrix, by w^2 / diag(U)^2 with inverse(gram) = U'U, as EvoPress' "FastOBC"
    does; SparseGPT chooses it anew every 128 columns.

    Source: Frantar and Alistarh, "SparseGPT", ICML 2023, arXiv 2301.00774; EvoPress, arXiv 2410.14649.

    Args:
        w: (out, in)
        gram: (in, in) X'X of the layer's inputs.
        zeros: how many.
        damping: what is added to the diagonal, as a share of its mean.
    """
    return next(prune("obs", w, gram, [zeros], damping=damping))


def prune(
    method: str,
    w: Tensor,
    gram: Tensor | None,
    counts: Sequence[int],
    *,
    damping: float = DAMPING,
    by_row: bool = True,
) -> Iterator[Tensor]:
    """One pruned copy of `w` for each of `counts`; the order of the weights and the factorisation are computed once.

    A copy has exactly so many zeros, or as many as `w` has where those are more and the method moves no weights: zeros
    of `w` are chosen first, and a weight that stays is never rounded to zero. It has the dtype of `w`; all arithmetic
    is in float64. The same arguments give the same bits under the same number of threads.

    Args:
        method: one of `METHODS`.
        w: (out, in), finite.
        gram: (in, in) X'X of the layer's inputs; `magnitude` needs none.
        counts: zeros of each copy, 0 to the number of weights.
        damping: see `obs`.
        by_row: see `wanda`.

    Raises:
        ConfigError: an unknown method, a count out of its range, or shapes that do not fit.
        EvaluationError: weights or Gram matrix are not finite, or the latter is no Gram matrix.
    """
    _check(method, w, gram, counts)
    dense = w.detach().double()
    gram = None if gram is None else gram.detach().double()
    factor = None
    if method == "magnitude" or gram is None:
        scores = dense.abs()
    elif method == "wanda":
        scores = dense.abs() * gram.diagonal().clamp(min=0).sqrt()
    else:
        factor = inverse_factor(gram, damping)
        scores = (dense / factor.diagonal()) ** 2
        scores[:, gram.diagonal() == 0] = 0
    order = _order(dense, scores, by_row=by_row and method == "wanda")
    together = max(1, _TOGETHER // (8 * dense.numel()))
    for start in range(0, len(counts), together):
        masks = torch.stack([_mask(order, zeros, dense.shape) for zeros in counts[start : start + together]])
        kept = dense.expand(masks.shape) if factor is None else _compensated(dense, masks, factor)
        for mask, moved in zip(masks, kept, strict=True):
            yield _rounded(moved.masked_fill(mask, 0), dense, mask, w.dtype)


def inverse_factor(gram: Tensor, damping: float = DAMPING) -> Tensor:
    """(in, in) the upper triangular U with inverse(gram + damping * mean(diag) * I) = U'U, in float64.

    An input that was always zero counts as one of average size that nothing depends on.

    Raises:
        EvaluationError: what was damped is not positive definite.
    """
    damped = gram.double().clone()
    diagonal = damped.diagonal()
    mean = diagonal.mean()
    if mean == 0:
        mean = torch.ones_like(mean)
    diagonal[diagonal == 0] = mean
    diagonal += damping * mean
    # With rows and columns reversed, H = R R' with R upper triangular, and U is the inverse of R: no inverse of H.
    lower, failed = torch.linalg.cholesky_ex(damped.flip(0, 1))
    if failed:
        raise EvaluationError(f"Gram matrix {tuple(gram.shape)}: not positive definite after damping by {damping}")
    identity = torch.eye(len(damped), dtype=damped.dtype, device=damped.device)
    found: Tensor = torch.linalg.solve_triangular(lower.flip(0, 1), identity, upper=True)
    return found


def output_error(w: Tensor, pruned: Tensor, gram: Tensor) -> float:
    """tr(D G D') / tr(W G W') with D = W - pruned: the share of the layer's output that is lost; 0 of no output."""
    h, dense = gram.detach().double(), w.detach().double()
    lost = dense - pruned.detach().double()
    whole = float(((dense @ h) * dense).sum())
    return max(0.0, float(((lost @ h) * lost).sum())) / whole if whole > 0 else 0.0


def _check(method: str, w: Tensor, gram: Tensor | None, counts: Sequence[int]) -> None:
    if method not in METHODS:
        raise ConfigError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if w.ndim != 2 or (gram is None and method != "magnitude"):
        raise ConfigError(f"{method}: expected weights (out, in) and a Gram matrix, got {tuple(w.shape)} and {gram}")
    if gram is not None and gram.shape != (w.shape[1], w.shape[1]):
        raise ConfigError(f"{method}: weights {tuple(w.shape)} do not fit a Gram matrix {tuple(gram.shape)}")
    if any(not 0 <= zeros <= w.numel() for zeros in counts):
        raise ConfigError(f"{method}: zeros must be 0 to {w.numel()}, got {list(counts)}")
    if not bool(w.isfinite().all()) or (gram is not None and not bool(gram.isfinite().all())):
        raise EvaluationError(f"{method}: weights or inputs of a layer {tuple(w.shape)} are not finite")


def _order(dense: Tensor, scores: Tensor, *, by_row: bool) -> Tensor:
    """(out * in,) flat positions, the weight that goes first leading."""
    size = dense.abs()
    order = size.flatten().argsort(stable=True)
    order = order[scores.flatten()[order].argsort(stable=True)]
    if by_row:
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(len(order), device=order.device)
        within = ranks.view(dense.shape).argsort(dim=1).argsort(dim=1)
        order = order[within.flatten()[order].argsort(stable=True)]
    return order[(size.flatten()[order] > 0).to(torch.uint8).argsort(stable=True)]


def _mask(order: Tensor, zeros: int, shape: torch.Size) -> Tensor:
    mask = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    mask[order[:zeros]] = True
    return mask.view(shape)


def _compensated(dense: Tensor, masks: Tensor, factor: Tensor) -> Tensor:
    """(levels, out, in) `dense` with the errors of the weights in each mask passed on, from the left to the right.

    What is added up in one product, and where it lies in memory, does not depend on the other levels: same bits.
    """
    gone = masks.transpose(1, 2).contiguous()
    columns = dense.T.expand(gone.shape).clone(memory_format=torch.contiguous_format)
    diagonal = factor.diagonal()
    for start in range(0, len(diagonal), _COLUMNS):
        part = columns[:, start : start + _COLUMNS]
        stop = start + part.shape[1]
        inner = factor[start:stop, start:stop]
        errors = torch.empty_like(part, memory_format=torch.contiguous_format)
        for i in range(stop - start):
            torch.mul(part[:, i], gone[:, start + i], out=errors[:, i]).div_(diagonal[start + i])
            part[:, i + 1 :] -= inner[i, i + 1 :, None] * errors[:, i : i + 1]
        if stop < len(diagonal):
            passed_on = factor[start:stop, stop:].T
            for level, error in zip(columns, errors, strict=True):
                level[stop:] -= passed_on @ error
    return columns.transpose(1, 2)


def _rounded(pruned: Tensor, dense: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
    found = pruned.to(dtype).contiguous()
    if not bool(found.isfinite().all()):
        raise EvaluationError(f"a weight grew beyond what {dtype} holds; store the levels in a wider one")
    vanished = (found == 0) & ~mask & (dense != 0)
    if bool(vanished.any()):
        tiny = torch.finfo(dtype).tiny
        found[vanished] = torch.where(dense[vanished] < 0, -tiny, tiny).to(dtype)
    return found
