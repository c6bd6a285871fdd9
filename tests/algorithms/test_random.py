"""Random search: no memory, uniform, and whatever archive it is given."""

import numpy as np
from engine.worlds import Bowl, Masks

import evo


def test_samples_are_uniform_and_never_of_the_elites():
    run = evo.search(Bowl(), evo.Random(500), evaluations=4000, seed=1)
    genomes = np.concatenate([batch.genomes for batch in run.reader.requests()])
    counts, _ = np.histogram(genomes[:, 0], bins=10, range=(-1, 1))
    assert ((counts - 400) ** 2 / 400).sum() < 28  # chi-square, 9 degrees of freedom, p = 0.001
    assert set(run.totals["operators"]) == {"sample"}
    assert not (run.frame()["parents"].str.len() > 0).any()


def test_it_keeps_the_ten_best_or_a_map():
    best = evo.search(Bowl(), evo.Random(50), evaluations=300, seed=1)
    heights = np.sort(best.frame()["height"])[:10]
    assert best.archive.objectives[:, 0].tolist() == heights.tolist()
    grid = evo.search(Masks(), evo.Random(50, archive=evo.Grid((6, 6))), evaluations=300, seed=1)
    assert len(grid.archive) > 10
    assert grid.archive.describe()["kind"] == "grid"
