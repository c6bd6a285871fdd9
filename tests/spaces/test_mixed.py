"""Products of spaces."""

from __future__ import annotations

import numpy as np
import pytest

from evo.errors import ConfigError, SpaceError
from evo.spaces import BitMask, Box, Categorical, Integers, Json, Mixed
from evo.spec import spec_of

SPACE = Mixed(flags=BitMask(3), rate=Box(0.0, 1.0, size=2), layer=Categorical(["dense", "conv"]))
GENOME = {"flags": [True, False, True], "rate": [0.1, 1.0], "layer": ["conv"]}


def test_people_write_a_genome_as_a_dict_of_its_parts() -> None:
    (genome,) = SPACE.stack([GENOME])
    assert genome["layer"].tolist() == [1]
    assert SPACE.to_json(genome) == GENOME


def test_there_are_no_bytes_between_the_parts() -> None:
    assert SPACE.dtype.itemsize == 3 + 16 + 8
    assert len(SPACE.encode(SPACE.stack([GENOME, GENOME]))) == 2 * SPACE.dtype.itemsize


def test_padded_records_are_taken_over_without_their_padding() -> None:
    padded = np.zeros(1, dtype=np.dtype([(n, SPACE.dtype[n]) for n in SPACE.parts], align=True))
    padded.view(np.uint8)[:] = 0xAB
    for name, column in ((name, SPACE.stack([GENOME])[name]) for name in SPACE.parts):
        padded[name] = column
    assert SPACE.encode(SPACE.check(padded)) == SPACE.encode(padded) == SPACE.encode(SPACE.stack([GENOME]))


def test_every_part_is_checked_and_repaired_by_its_own_space() -> None:
    batch = SPACE.stack([GENOME])
    batch["rate"] = [[-1.0, 2.0]]
    with pytest.raises(SpaceError, match=r"part 'rate': genomes: row 0 lies outside"):
        SPACE.check(batch)
    assert SPACE.repair(batch)["rate"].tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("genome", [{"rate": [0, 1]}, {**GENOME, "more": 1}, [1, 2], None])
def test_a_genome_without_exactly_the_parts_is_refused(genome: object) -> None:
    with pytest.raises(SpaceError, match=r"genome 0: expected a dict of the parts \['flags', 'rate', 'layer'\]"):
        SPACE.stack([genome])


def test_it_is_continuous_when_a_part_is() -> None:
    assert SPACE.continuous
    assert not Mixed(flags=BitMask(3)).continuous


def test_a_part_may_be_named_parts() -> None:
    space = Mixed(parts=Integers(0, 1, size=1))
    assert spec_of(space)["params"]["parts"]["parts"]["type"] == "evo.spaces.integers:Integers"


@pytest.mark.parametrize("parts", [{}, {"a": 3}, {"a": Json()}])
def test_parts_must_be_array_spaces(parts: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="Mixed"):
        Mixed(**parts)  # type: ignore[arg-type]
