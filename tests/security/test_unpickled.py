"""A run file is data: loading, showing, exporting, plotting and resuming it unpickles nothing and runs none of it."""

from __future__ import annotations

import _pickle
import ast
import io
import pickle
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from engine.worlds import Bowl, Masks

import evo
from evo.archives.insert import rule

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = {
    # Messages between the processes of one run, over Ray's connection or a pipe; never from a file of the run.
    "workers/ray_actor.py": {"pickle.loads"},
    "workers/ray_bench.py": {"pickle.loads"},
    "evo/cluster/shipping.py": {"pickle.loads"},
    # From the worker to its fork server, by a socket that the evaluations' processes never hold.
    "workers/sandbox/server.py": {"pickle.loads"},
    # What this process has just packed, in a child process that it started.
    "evo/monitor/showing.py": {"pickle.load"},
    "evo/cli/probe.py": {"pickle.load"},
    "evo/testing/problems.py": {"cloudpickle.loads"},
    # YAML by a loader derived from SafeLoader, which makes plain data only.
    "evo/config/text.py": {"yaml.load"},
    # Records without objects in them: allow_pickle stays False.
    "problems/evopress/divergence.py": {"np.load"},
    # The state of the training script's own interrupted run, with weights_only.
    "problems/evopress/train.py": {"torch.load"},
}
"""file -> calls in it that could run what they read, were it not as the comment says."""

MODULES = ("pickle", "cloudpickle", "_pickle", "dill", "marshal")
DANGEROUS = {
    *(f"{module}.{name}" for module in MODULES for name in ("load", "loads")),
    *(f"{module}.Unpickler" for module in MODULES),
    *("torch.load", "joblib.load", "shelve.open", "np.load", "numpy.load", "np.fromfile", "pd.read_pickle"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "compile", "os.system"),
}  # fmt: skip


def calls(file: Path) -> set[str]:
    """The dangerous calls in a file, by the names they are called by."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in DANGEROUS:
                found.add(name)
            if any(keyword.arg in ("allow_pickle", "shell") for keyword in node.keywords):
                found.add(f"{name}({', '.join(ast.unparse(one) for one in node.keywords)})")
    return found


def sources() -> list[Path]:
    return [path for package in ("evo", "workers", "operators", "problems") for path in (ROOT / package).rglob("*.py")]


def test_what_could_run_what_it_reads_is_called_in_known_places_only() -> None:
    found = {path.relative_to(ROOT).as_posix(): calls(path) for path in sources()}
    assert {path: names for path, names in found.items() if names} == ALLOWED


def test_yaml_makes_plain_data_only() -> None:
    from evo.config.text import parse

    for text in ("!!python/object/apply:os.getpid []", "!!python/name:os.system", "a: !!python/tuple [1]"):
        with pytest.raises(evo.ConfigError, match="could not determine a constructor"):
            parse(text, "run.yaml")


class Unpickled(Exception):
    """Somebody did."""


@pytest.fixture
def nothing_unpickles(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("pandas", "pyarrow.parquet", "matplotlib.pyplot", "ray"):
        pytest.importorskip(library)  # while they are imported, some derive classes from Unpickler
    rule()  # compiled code lies beside the sources it is of, as numba keeps it; it is part of the installation

    def refused(*args, **options):
        raise Unpickled

    for module in (pickle, _pickle, cloudpickle):
        for name in ("load", "loads", "Unpickler"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refused)
    monkeypatch.setattr(pickle, "_Unpickler", refused)
    monkeypatch.setattr(np.lib.format, "read_array", refused)


def test_the_guard_notices(nothing_unpickles: None) -> None:
    file = io.BytesIO()
    np.save(file, np.empty(1, dtype=object), allow_pickle=True)
    file.seek(0)
    with pytest.raises(Unpickled):
        np.load(file, allow_pickle=True)
    with pytest.raises(Unpickled):
        pickle.loads(b"")


class Trees(evo.Json):
    def sample_one(self, rng):
        n = int(rng.integers(1000))
        return {"n": n, "deep": [[n], {"m": None}]}


class Terms(evo.Problem):
    """Has JSON genomes, arrays in its metrics, artifacts and failures: every kind of column there is."""

    space = Trees()
    objectives = (evo.Minimize("size"),)

    def evaluate(self, genome):
        if genome["n"] % 7 == 3:
            raise ValueError("not this one")
        found = {"list": [genome["n"]], "text": str(genome["n"]), "array": np.arange(3)}
        return evo.Evaluation([genome["n"]], metrics=found, artifacts={"file": b"x" * (genome["n"] % 9)})


@pytest.mark.parametrize(
    ("problem", "algorithm"),
    [(Terms(), evo.Random(batch=10)), (Masks(), evo.MapElites((6, 6), batch=20)), (Bowl(), evo.Genetic())],
    ids=["json", "masks", "box"],
)
def test_a_run_is_loaded_shown_exported_plotted_resumed_and_begun_from_without_unpickling(
    problem: evo.Problem, algorithm: evo.Algorithm, tmp_path: Path, nothing_unpickles: None
) -> None:
    options = {"algorithm": algorithm, "seed": 1, "snapshot_seconds": 0.0}
    evo.search(problem, evaluations=150, run_dir=tmp_path / "run", **options)
    use(tmp_path, problem)
    run = evo.resume(tmp_path / "run", problem, evaluations=250)
    assert run.evaluations == 250
    assert evo.search(problem, evaluations=50, initial=tmp_path / "run", **options).evaluations == 50


def use(folder: Path, problem: evo.Problem) -> None:
    """All that reads a run."""
    run = evo.load(folder / "run", problem)
    assert run.reader.snapshot() is not None
    assert len(run.frame()) > 0
    assert len(run.archive) > 0
    assert run.best is not None
    repr(run)
    run.events()
    for name in ("csv", "jsonl", "parquet", "canonical"):
        run.export(name, folder / f"out.{name}")
    run.plot.save(folder / "run.png")
    from evo.monitor.report import as_json

    as_json(run)
