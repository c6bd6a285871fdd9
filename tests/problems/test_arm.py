"""The arm, against trigonometry done joint by joint."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.testing import check_problem
from problems.arm import Arm

angles = st.lists(st.floats(-10, 10), min_size=1, max_size=30)


def arm_of(genome: list[float]) -> tuple[float, float, float]:
    heading, x, y = 0.0, 0.0, 0.0
    for angle in genome:
        heading += angle
        x += math.cos(heading)
        y += math.sin(heading)
    mean = math.fsum(genome) / len(genome)
    variance = math.fsum((angle - mean) ** 2 for angle in genome) / len(genome)
    return 100 * (1 - variance), x, y


@given(genome=angles)
def test_it_agrees_with_a_joint_by_joint_computation(genome: list[float]) -> None:
    found = Arm(len(genome)).evaluate_batch(np.array([genome]))
    assert found.measures is not None
    np.testing.assert_allclose([found.objectives[0, 0], *found.measures[0]], arm_of(genome), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("joints", [1, 2, 7, 20, 100, 300])
def test_it_keeps_a_problems_promises(joints: int) -> None:
    check_problem(Arm(joints), n=150)


@pytest.mark.parametrize("joints", [20, 129])
def test_memory_layout_does_not_change_a_bit(joints: int) -> None:
    genomes = np.random.default_rng(0).standard_normal((97, joints))
    found = Arm(joints).evaluate_batch(genomes)
    wide = np.zeros((194, joints + 3))
    wide[::2, 1:-2] = genomes
    for layout in (np.asfortranarray(genomes), wide[::2, 1:-2], genomes[::-1][::-1]):
        again = Arm(joints).evaluate_batch(layout)
        assert again.objectives.tobytes() == found.objectives.tobytes()
        assert again.measures is not None
        assert found.measures is not None
        assert again.measures.tobytes() == found.measures.tobytes()


def test_it_starts_stretched_and_perfectly_smooth() -> None:
    arm = Arm(12)
    found = arm.evaluate_batch(arm.space.stack(arm.initial()))
    assert found.objectives.tolist() == [[100.0]]
    assert found.measures is not None
    assert found.measures.tolist() == [[12.0, 0.0]]


def test_the_hand_never_leaves_the_declared_range() -> None:
    arm = Arm(5)
    found = arm.evaluate_batch(np.random.default_rng(0).uniform(-20, 20, (2000, 5)))
    assert found.measures is not None
    assert (np.hypot(*found.measures.T) <= 5 + 1e-12).all()
    assert [(measure.low, measure.high) for measure in arm.measures] == [(-5, 5)] * 2


def test_it_is_shown_in_words_and_degrees() -> None:
    assert Arm(2).show([0.0, math.pi / 2]) == "hand at (+1.00, +1.00), smoothness 38.31, joints +0 +90 degrees"


def test_an_arm_has_joints() -> None:
    with pytest.raises(ConfigError, match="joints >= 1"):
        Arm(0)
