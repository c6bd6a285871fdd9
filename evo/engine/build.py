"""Puts a master together: for a fresh run, or for one taken up again from its file."""

from __future__ import annotations

import hashlib
import platform
import sqlite3
import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from evo.algorithm import Algorithm
from evo.cluster.layout import check_layout
from evo.engine.crew import Crew, Group
from evo.engine.master import Logbook, Master
from evo.engine.order import Order, Strict, order_from
from evo.engine.prepare import Prepared, Seeded
from evo.engine.replay import replay
from evo.engine.rules import Rules
from evo.engine.rundir import RunDir
from evo.errors import ConfigError, ReplayMismatch, RunError
from evo.evaluator import Resources
from evo.problem import Problem
from evo.records import Genomes, Outcomes
from evo.run import Run, load
from evo.sandbox import sandbox_from
from evo.spec import qualified_name, spec_of
from evo.store.reader import RunReader
from evo.store.writer import SCHEMA_VERSION, RunWriter, open_file

__all__ = ["Plan", "continued", "fresh", "header_for", "logged", "master_for"]


@dataclass
class Plan:
    """All that one session of a run needs; a context manager that lets its files go."""

    master: Master
    crew: Crew
    header: dict[str, Any]
    writer: RunWriter | None
    reader: RunReader | None
    directory: Path | None
    before: Mapping[str, Any] = field(default_factory=dict)
    """Totals of earlier sessions."""
    resources: ExitStack = field(default_factory=ExitStack)

    def forget(self) -> None:
        """Leave no trace of a run that never began, so that its directory can be used again."""
        if self.writer is not None and not self.before:
            with self.writer.transaction():
                self.writer.erase()

    def __enter__(self) -> Plan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.directory is not None and self.writer is not None:
            self.writer.fold()
        self.resources.close()


def fresh(
    problem: Problem,
    algorithm: Algorithm | None,
    *,
    seed: int,
    order: Order,
    rules: Rules,
    crew: Crew,
    initial: Any,
    run_dir: Path | None,
    name: str | None,
    log: bool,
    config: dict[str, Any] | None,
) -> Plan:
    """A run that begins.

    Raises:
        ConfigError, RunError: see `evo.search`.
    """
    check_layout()
    _check_problem(problem)
    chosen = algorithm if algorithm is not None else _default_algorithm(problem)
    if isinstance(order, Strict) and order.block == 0:
        order = replace(order, block=chosen.block)
    genomes = _initial(problem, initial)
    wrapped = _wrapped(problem, chosen, genomes)
    wrapped.setup(problem)
    crew.shapes(problem.evaluator.fidelities)  # refuse a shape that is too small before anything is written
    with ExitStack() as stack:
        directory = stack.enter_context(RunDir(run_dir, create=True)) if run_dir is not None and log else None
        header = header_for(problem, chosen, wrapped, seed, order, rules, crew, genomes, name, run_dir, config)
        writer, reader, logbook = (None, None, None) if not log else _open(stack, directory, problem)
        if writer is not None:
            with writer.transaction():
                writer.header(header)
                if genomes is not None:
                    content = problem.space.encode(genomes)
                    writer.artifact(header["spec"]["initial"]["hash"], len(content), content)
        master = master_for(problem, wrapped, seed, order, rules, logbook)
        return Plan(
            master, crew, header, writer, reader, directory.path if directory else None, resources=stack.pop_all()
        )


def continued(
    run_dir: Path,
    problem: Problem | None,
    algorithm: Algorithm | None,
    *,
    rules: Mapping[str, Any],
    workers: Any,
    backend: str | None,
    crew: Mapping[str, Any],
    snapshot: bool,
) -> Plan:
    """A run taken up where its log ends.

    Raises:
        RunError, ReplayMismatch: see `evo.resume`.
    """
    from evo import registry

    with ExitStack() as stack:
        directory = stack.enter_context(RunDir(run_dir, create=False))
        stored = load(directory.path, problem)
        header = dict(stored.header)
        spec = header["spec"]
        problem = problem or stored.problem
        if problem is None:
            raise RunError(
                f"{run_dir}: its problem {spec['problem'].get('type', '?')} cannot be imported here; "
                "resume in Python with evo.resume(run_dir, problem=...)"
            )
        chosen = algorithm if algorithm is not None else registry.build("algorithms", spec["algorithm"])
        _check_same(header, problem, chosen)
        if problem.evaluator.version() != header["evaluator"]:
            warnings.warn("the evaluator has changed since this run began; its old results stand", stacklevel=4)
        limits = Rules(**{**spec["budget"], **rules})
        people = _crew(spec["workers"], workers, backend, crew)
        writer, reader, logbook = _open(stack, directory, problem)
        wrapped = _wrapped(problem, chosen, _stored_initial(problem, spec["initial"], reader))
        wrapped.setup(problem)
        master = master_for(problem, wrapped, header["seed"], order_from(spec["order"]), limits, logbook)
        before = reader.totals()
        replay(master, reader, snapshot=snapshot)
        master.ended = limits.verdict(master.tally, problem)  # a rule that ended the run ends it still
        if limits.evaluations != spec["budget"]["evaluations"]:
            master.wake()
        header["spec"] = {**spec, "budget": limits.describe(), "workers": people.describe()}
        with writer.transaction():
            writer.header(header)
            writer.event(master.seq, "resume", {"changed": dict(rules), "evo": _version()})
        return Plan(master, people, header, writer, reader, directory.path, before=before, resources=stack.pop_all())


# Parts ----------------------------------------------------------------------------------------------------------------


def _check_problem(problem: Problem) -> None:
    if not isinstance(problem, Problem):
        raise ConfigError(
            f"problem: expected an evo.Problem, got {type(problem).__name__}; did you forget the brackets?"
        )
    if not hasattr(problem, "space"):
        raise ConfigError(
            f"{type(problem).__name__}.space: missing; say what a genome is, such as evo.Box(-1, 1, size=10)"
        )
    names = [one.name for one in problem.objectives] + [one.name for one in problem.measures]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigError(
            f"{type(problem).__name__}: the name {doubled[0]!r} is used twice among objectives and measures"
        )


def _check_same(header: Mapping[str, Any], problem: Problem, algorithm: Algorithm) -> None:
    """Refuse to go on with another problem or algorithm than the run began with, whatever a snapshot would allow."""
    now = {"problem": _spec(problem), "algorithm": _spec(algorithm)}
    for what, spec in now.items():
        then = header["spec"][what]
        if "unknown" not in spec and "unknown" not in then and _name(spec) != _name(then):
            raise ReplayMismatch(
                f"{what}: the run began with {_text(then)}, not {_text(spec)}; start a new run with it"
            )
    for what, then, found in (
        ("objectives", header["objectives"], _objectives(problem)),
        ("measures", header["measures"], _measures(problem)),
    ):
        if then != found:
            raise ReplayMismatch(f"{what}: the run began with {then}, the problem now has {found}; start a new run")


def _name(spec: Mapping[str, Any]) -> tuple[str, Any]:
    """Class and parameters; the module may differ between a script and its import."""
    return str(spec["type"]).rpartition(":")[2], spec["params"]


def _text(spec: Mapping[str, Any]) -> str:
    inside = ", ".join(f"{name}={value}" for name, value in spec["params"].items())
    return f"{_name(spec)[0]}({inside})"


def _objectives(problem: Problem) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "sign": one.sign, "worst": one.worst, "measured": one.measured} for one in problem.objectives
    ]


def _measures(problem: Problem) -> list[dict[str, Any]]:
    return [{"name": one.name, "low": one.low, "high": one.high} for one in problem.measures]


def _default_algorithm(problem: Problem) -> Algorithm:
    from evo.algorithms import Genetic, MapElites

    return MapElites() if problem.measures else Genetic()


def _wrapped(problem: Problem, algorithm: Algorithm, genomes: Genomes | None) -> Algorithm:
    if genomes is not None:
        algorithm = Seeded(algorithm, genomes)
    if type(problem).prepare is not Problem.prepare:
        algorithm = Prepared(algorithm)
    return algorithm


def _initial(problem: Problem, initial: Any) -> Genomes | None:
    if initial is None:
        return None
    if isinstance(initial, str | Path):
        initial = load(initial, problem)
    if isinstance(initial, Run):
        return problem.space.check(initial.archive.genomes)
    if isinstance(initial, np.ndarray) and initial.dtype == problem.space.dtype:
        return problem.space.check(initial)
    return problem.space.stack(list(initial))


def _stored_initial(problem: Problem, entry: Mapping[str, Any] | None, reader: RunReader) -> Genomes | None:
    if entry is None:
        return None
    content = reader.artifact(entry["hash"])
    if content is None:
        raise RunError(f"the initial genomes (artifact {entry['hash']}) are missing from the run file")
    return problem.space.decode(content, entry["n"])


def _crew(stored: Mapping[str, Any], workers: Any, backend: str | None, given: Mapping[str, Any]) -> Crew:
    rest = {name: stored[name] for name in ("address", "message_seconds", "window")}
    rest["shape"] = Resources(**stored["shape"]) if stored["shape"] else None
    rest["sandbox"] = sandbox_from(stored.get("sandbox"))
    rest.update(given)
    if workers is None and backend is None:
        workers, backend = _groups(stored), stored["backend"] if stored["backend"] in ("inline", "ray") else "inline"
    elif backend is None and isinstance(workers, int):
        backend = "ray"
    return Crew.of(workers, backend, **rest)


def _groups(stored: Mapping[str, Any]) -> tuple[Group, ...]:
    """The groups of a run's header, or of the header of a run from before there were any."""
    count = stored["count"]
    plain = [{"least": count, "most": count, "shape": None}] if count else []
    return tuple(
        Group(**{**one, "shape": Resources(**one["shape"]) if one["shape"] else None})
        for one in stored.get("groups", plain)
    )


def _open(stack: ExitStack, directory: RunDir | None, problem: Problem) -> tuple[RunWriter, RunReader, Logbook]:
    connection = open_file(directory.file if directory else None)
    if directory is not None:
        stack.callback(connection.close)  # a run in memory lives as long as its Run
    return logged(connection, problem)


def logged(connection: sqlite3.Connection, problem: Problem) -> tuple[RunWriter, RunReader, Logbook]:
    """Writer, reader and logbook on one connection."""
    writer, reader = RunWriter(connection, problem.space), RunReader(connection, problem.space)

    def outcome(request: int) -> Outcomes | None:
        writer.flush()
        return reader.outcome(request)

    def artifact(digest: str) -> bytes | None:
        writer.flush()
        return reader.artifact(digest)

    return writer, reader, Logbook(writer, outcome, artifact)


def master_for(
    problem: Problem, algorithm: Algorithm, seed: int, order: Order, rules: Rules, logbook: Logbook | None
) -> Master:
    """The master of a run; equal work is looked for where the problem wants it and there is a log to find it in."""
    wanted = problem.deduplicate if problem.deduplicate is not None else not problem.space.continuous
    return Master(
        problem,
        algorithm,
        seed=seed,
        order=order,
        rules=rules,
        logbook=logbook,
        deduplicate=wanted and logbook is not None,
    )


def header_for(
    problem: Problem,
    algorithm: Algorithm,
    wrapped: Algorithm,
    seed: int,
    order: Order,
    rules: Rules,
    crew: Crew,
    genomes: Genomes | None,
    name: str | None,
    run_dir: Path | None,
    config: dict[str, Any] | None,
) -> dict[str, Any]:
    """The run's header document: what it is, in plain data."""
    from evo import registry

    return {
        "schema": SCHEMA_VERSION,
        "evo": _version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "name": name or (run_dir.name if run_dir is not None else type(problem).__name__.lower()),
        "seed": seed,
        "spec": {
            "problem": _spec(problem),
            "algorithm": _spec(algorithm),
            "order": order.describe(),
            "budget": rules.describe(),
            "workers": crew.describe(),
            "initial": None if genomes is None else {"n": len(genomes), "hash": _hash(problem.space.encode(genomes))},
        },
        "config": config,
        "problem": registry.short_name(type(problem)),
        "algorithm": registry.short_name(type(algorithm)),
        "objectives": _objectives(problem),
        "measures": _measures(problem),
        "archives": {name: archive.describe() for name, archive in wrapped.archives.items()},
        "reporting": problem.evaluator.reporting,
        "evaluator": problem.evaluator.version(),
    }


def _spec(plugin: Any) -> Any:
    try:
        return spec_of(plugin)
    except ConfigError as error:  # then the run resumes only with the object in hand
        return {"type": qualified_name(type(plugin)), "unknown": str(error)}


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _version() -> str:
    from evo import __version__

    return __version__
