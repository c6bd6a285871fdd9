"""Bad input gets a clear error, and nothing is lost."""

from pathlib import Path

import numpy as np
import pytest
from engine.worlds import Bowl, Broken, Masks

import evo

SCRIPTS = Path(__file__).parent / "engine" / "scripts"


# Results that are not what they should be -----------------------------------------------------------------------------


class Holes(Bowl):
    """Not finite where the first coordinate is negative."""

    measures = (evo.Measure("x", -1.0, 1.0),)
    hole = float("nan")
    where = "objective"

    def evaluate(self, genome):
        value = self.hole if genome[0] < 0 else float((genome**2).sum())
        if self.where == "measure":
            return evo.Evaluation([0.5], [value])
        return evo.Evaluation([value], [genome[0]])


@pytest.mark.parametrize("where", ["objective", "measure"])
@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_dropped_counted_and_never_in_a_cell(hole, where):
    problem = Holes()
    problem.hole, problem.where = hole, where
    run = evo.search(problem, evo.MapElites((10,), batch=20), evaluations=200, seed=1)
    frame = run.frame()
    assert run.state == "finished"
    assert run.failures["invalid"] == (frame["status"] == "invalid").sum() > 0
    assert np.isfinite(run.archive.objectives).all()
    assert np.isfinite(run.archive.measures).all()
    assert np.isfinite(run.best.objectives["height"])
    assert frame.loc[frame["status"] == "invalid", "message"].str.contains(f"{where} not finite").all()


def test_what_is_not_finite_ends_the_run_where_it_is_refused(tmp_path):
    problem = Holes()
    problem.nonfinite = "refuse"
    run = evo.search(problem, evo.MapElites((10,), batch=20), evaluations=200, seed=1, run_dir=tmp_path / "run")
    assert run.state == "failed"
    assert "refused" in run.reason
    assert "objective not finite" in run.reason
    assert len(evo.load(tmp_path / "run", problem).frame()) == run.totals["told"] > 0


class Beyond(Bowl):
    """A measure that is twice its range."""

    measures = (evo.Measure("x", -0.5, 0.5),)

    def evaluate(self, genome):
        return evo.Evaluation([1.0], [genome[0]])


class Rejecting(Beyond):
    measures = (evo.Measure("x", -0.5, 0.5, outside="reject"),)


def test_measures_beyond_the_range_are_clipped_to_the_edge_cells_or_rejected():
    clipped = evo.search(Beyond(), evo.Random(100, archive=evo.Grid((4,))), evaluations=400, seed=1)
    assert not any(clipped.failures.values())
    assert clipped.archive.keys.tolist() == [0, 1, 2, 3]
    rejected = evo.search(Rejecting(), evo.Random(100, archive=evo.Grid((4,))), evaluations=400, seed=1)
    frame = rejected.frame()
    outside = frame["status"] == "invalid"
    assert rejected.failures["invalid"] == outside.sum() > 100
    assert frame.loc[~outside, "x"].abs().max() <= 0.5
    assert frame.loc[outside, "message"].str.contains(r"measure 'x' = -?0\.\d+ outside \[-0\.5, 0\.5\]").all()


def wrong(objectives=(0.5,), measures=(0.1, 0.2)):
    class Wrong(Masks):
        objectives = (evo.Maximize("a"), evo.Minimize("b"))

        def evaluate(self, genome):
            return evo.Evaluation(list(given[0]), list(given[1]))

    given = objectives, measures
    return Wrong()


@pytest.mark.parametrize(
    ("problem", "named"),
    [
        (wrong(objectives=(1.0, 2.0, 3.0)), "objectives of shape (3,)"),
        (wrong(objectives=(1.0,)), "objectives of shape (1,)"),
        (wrong(objectives=(1.0, 2.0), measures=(0.1,)), "measures of shape (1,)"),
        (wrong(objectives=(1.0, 2.0), measures=()), "measures of shape (0,)"),
    ],
)
def test_a_wrong_shape_says_what_was_expected(problem, named):
    run = evo.search(problem, evo.Random(50, archive=evo.Top()), evaluations=1000)
    assert run.state == "failed"
    assert named in run.reason
    assert "expected (2,) and (2,)" in run.reason


class BatchOfOne(Bowl):
    def evaluate_batch(self, genomes):
        return evo.Evaluations(np.zeros(3))


class NoEvaluation(Bowl):
    def evaluate(self, genome):
        return 1.0


class Nothing(evo.Problem):
    space = evo.Box(-1, 1, size=2)
    objectives = (evo.Maximize("a"),)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (BatchOfOne(), r"objectives: expected shape (1, 1), got (3,)"),
        (NoEvaluation(), "evaluate must return evo.Evaluation, got float"),
        (Nothing(), "Nothing defines neither evaluate nor evaluate_batch"),
        (Broken(), "RuntimeError: the oracle is out"),
    ],
)
def test_everything_failing_stops_with_the_first_reason(problem, said, tmp_path):
    run = evo.search(problem, evo.Random(50), evaluations=5000, seed=1, run_dir=tmp_path / "run")
    assert run.state == "failed"
    assert said in run.reason
    assert 100 <= run.failures["failed"] < 500
    assert "Traceback" in next(run.reader.messages())


def test_how_many_failures_are_everything_can_be_said():
    run = evo.search(Broken(), evo.Random(5), evaluations=5000, failures=10)
    assert run.failures["failed"] == 10


# Arguments ------------------------------------------------------------------------------------------------------------


class NoSpace(evo.Problem):
    objectives = (evo.Maximize("a"),)

    def evaluate(self, genome):
        return evo.Evaluation([1.0])


class Doubled(Bowl):
    measures = (evo.Measure("height", 0.0, 1.0),)


class NoObjective(Bowl):
    objectives = ()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: evo.search(Bowl()), "no budget"),
        (lambda: evo.search(Bowl, evaluations=10), "did you forget the brackets"),
        (lambda: evo.search(NoSpace(), evaluations=10), r"NoSpace\.space: missing"),
        (lambda: evo.search(Doubled(), evaluations=10), "'height' is used twice"),
        (lambda: evo.search(NoObjective(), evaluations=10), "no objective"),
        (lambda: evo.search(Bowl(), evaluations=10, order="chaos"), "expected 'strict' or 'arrival', got 'chaos'"),
        (lambda: evo.search(Bowl(), evaluations=10, backend="slurm"), "expected 'inline' or 'ray', got 'slurm'"),
        (lambda: evo.search(Bowl(), evaluations=10, workers=0), "expected at least 1"),
        (lambda: evo.Measure("x", 1.0, 1.0), "expected finite low < high"),
        (lambda: evo.Measure("x", 0.0, float("inf")), "expected finite low < high"),
        (lambda: evo.Measure("x", 0.0, 1.0, outside="wrap"), "'clip' or 'reject'"),
    ],
)
def test_arguments_that_cannot_be_are_refused_by_name(call, said):
    with pytest.raises(evo.ConfigError, match=said):
        call()


def test_arguments_that_cannot_be_leave_no_directory_behind(tmp_path):
    for problem in (NoSpace(), Doubled(), NoObjective()):
        with pytest.raises(evo.ConfigError):
            evo.search(problem, evaluations=10, run_dir=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


class Greedy(evo.Random):
    """Gives more than it was asked for."""

    def ask(self, n, turn):
        return super().ask(n + 1, turn)


class Lost(evo.Random):
    """Asks at a fidelity that nobody has."""

    def ask(self, n, turn):
        (batch,) = super().ask(n, turn)
        batch.fidelity = "rung9"
        return [batch]


@pytest.mark.parametrize(
    ("algorithm", "said"), [(Greedy(10), r"Greedy.ask\(10\) gave 11 requests"), (Lost(10), "no fidelity 'rung9'")]
)
def test_an_algorithm_that_breaks_its_contract_is_named(algorithm, said):
    with pytest.raises(evo.EvaluationError, match=said):
        evo.search(Bowl(), algorithm, evaluations=50)
