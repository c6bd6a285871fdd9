"""MAP-Elites: children of elites, competing for cells."""

import numpy as np
import pytest
from engine.worlds import Broken, Masks

import evo
from operators.discrete import Flip
from operators.real import Gaussian, IsoLine
from problems.arm import Arm


def search(**options):
    algorithm = evo.MapElites((6, 6), batch=20, **options)
    return evo.search(Masks(), algorithm, evaluations=600, seed=2)


def test_every_cell_holds_the_best_that_fell_into_it_and_the_first_of_equals():
    run = search()
    frame = run.frame().query("status == 'ok'")
    grid = evo.Grid((6, 6))
    grid.setup(Masks.space, Masks.objectives, Masks.measures)
    cell = grid.index_of(frame[["left", "right"]].to_numpy())
    expected = {}
    for key, value, candidate in zip(cell.tolist(), frame["ones"], frame["candidate"], strict=True):
        if key not in expected or value > expected[key][0]:
            expected[key] = (value, candidate)
    view = run.archive.frame()
    found = {key: (value, one) for key, value, one in zip(view["key"], view["ones"], view["candidate"], strict=True)}
    assert found == expected


def test_parents_are_elites_at_the_time_and_children_vary_them():
    run = search(operator=Flip(0.1))
    requests = list(run.reader.requests())
    changed = {candidate for _, change in run.reader.changes() for candidate in change.candidate.tolist()}
    with_parents = [batch for batch in requests if batch.parents is not None]
    assert with_parents
    assert {batch.operator for batch in with_parents} == {"flip"}
    parents = np.concatenate([batch.parents[:, 0] for batch in with_parents])
    assert set(parents.tolist()) <= changed
    children = np.concatenate([batch.genomes for batch in with_parents])
    flipped = (children != run.reader.genomes(parents)).mean()
    assert 0.05 < flipped < 0.15


def test_an_operator_of_two_parents_names_both():
    run = evo.search(Arm(5), evo.MapElites((8, 8), operator=IsoLine(), batch=50), evaluations=400, seed=1)
    batch = list(run.reader.requests())[-1]
    assert batch.parents.shape == (50, 2)
    assert (batch.parents[:, 0] != batch.parents[:, 1]).any()


def test_random_genomes_come_first_as_many_as_asked_for():
    run = search(initial=130)
    first = run.frame().groupby("operator", observed=True)["request"].agg(["count", "max"])
    assert first.loc["sample", "count"] == 140  # whole blocks of 20
    assert first.loc["sample", "max"] == 139


def test_the_archive_may_be_another_one():
    run = evo.search(Masks(), evo.MapElites(archive=evo.Top(7), batch=20), evaluations=100, seed=2)
    assert len(run.archive) == 7
    assert run.archive.describe()["kind"] == "top"


def test_a_map_is_better_than_random_search():
    def coverage(algorithm):
        return evo.search(Arm(10), algorithm, evaluations=4000, seed=1).archive.stats["qd_score"]

    ours = coverage(evo.MapElites((20, 20), operator=Gaussian(0.2), batch=100))
    assert ours > 1.2 * coverage(evo.Random(100, archive=evo.Grid((20, 20))))


def test_while_everything_fails_it_goes_on_sampling():
    run = evo.search(Broken(), evo.MapElites((5,), batch=10), evaluations=60, seed=1, failures=1000)
    assert (run.state, len(run.archive)) == ("failed", 0)
    assert set(run.totals["operators"]) == {"sample"}


def test_the_map_needs_as_many_sizes_as_measures():
    with pytest.raises(evo.ConfigError, match="expects 1 measures, the problem declares 2"):
        evo.search(Masks(), evo.MapElites((6,)), evaluations=10)


def test_changes_fold_to_the_archive_as_it_was_at_every_move():
    class Watching(evo.MapElites):
        """Notes the archive after every tell."""

        def tell(self, results, turn):
            changes = super().tell(results, turn)
            held = self.archive.elites()
            seen.append((turn.seq, dict(zip(held.keys.tolist(), held.candidate.tolist(), strict=True))))
            return changes

    seen = []
    run = evo.search(Masks(), Watching((6, 6), batch=20), evaluations=300, seed=2)
    rows = run.reader.connection.execute("SELECT id, seq FROM changes").fetchall()
    seq_of = dict(rows)
    folded, changes = {}, [(seq_of[number], change) for number, change in run.reader.changes()]
    for seq, expected in seen:
        for _, change in [one for one in changes if one[0] == seq]:
            folded |= dict(zip(change.keys.tolist(), change.candidate.tolist(), strict=True))
        assert folded == expected
