"""What every operator that varies on the master promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from evo.testing.plain import check_spec

__all__ = ["check_operator"]


def check_operator(
    operator: Operator, space: Space, n: int = 64, seed: int = 0, parents: Sequence[Genomes] | None = None
) -> None:
    """Check that `operator.vary` keeps an operator's promises on `space`.

    Args:
        operator: the operator.
        space: where its parents and children live.
        n: how many children to try.
        seed: of the parents and of the variation.
        parents: `arity` batches (n, ...) to vary instead of drawn ones, for a space that draws none.

    Raises:
        AssertionError: naming the promise that does not hold.
    """
    name = type(operator).__name__
    if parents is None:
        rng = np.random.default_rng((seed, 0))
        parents = [space.sample(n, rng) for _ in range(operator.arity)]
    before = [space.encode(batch) for batch in parents]
    children = operator.vary(parents, space, np.random.default_rng((seed, 1)))
    _check_inside(name, children, len(parents[0]), space)
    for batch, bytes_before in zip(parents, before, strict=True):
        assert space.encode(batch) == bytes_before, f"{name} changes its parents"
        assert not np.may_share_memory(children, batch), f"{name} returns children that share memory with their parents"
    frozen = [_read_only(batch) for batch in parents]
    again = operator.vary(frozen, space, np.random.default_rng((seed, 1)))
    written = space.encode(children)
    assert space.encode(again) == written, f"{name} gives other children with the same random generator"
    other = operator.vary(frozen, space, np.random.default_rng((seed, 2)))
    assert space.encode(other) != written, f"{name} gives the same children with another random generator"
    for few in (1, 0):
        born = operator.vary([batch[:few] for batch in frozen], space, np.random.default_rng((seed, 3)))
        _check_inside(name, born, few, space)
    check_spec(operator)


def _read_only(batch: Genomes) -> Genomes:
    view = batch.view()
    view.flags.writeable = False
    return view


def _check_inside(name: str, children: Genomes, n: int, space: Space) -> None:
    expected = (n, *space.shape)
    assert children.shape == expected, f"{name} returns children of shape {children.shape}, expected {expected}"
    assert children.dtype == space.dtype, f"{name} returns {children.dtype} children, expected {space.dtype}"
    try:
        space.check(children)
    except SpaceError as error:
        raise AssertionError(f"{name} returns children outside the space: {error}") from error
