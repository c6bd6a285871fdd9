"""What a user holds of a search, while it goes on and for ever after: the run."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evo.archive import Elites
from evo.errors import EvoError, RunError
from evo.problem import Best, Problem
from evo.records import Genomes, Status, is_failure

if TYPE_CHECKING:  # sqlite is not for those who only import evo
    from evo.monitor.plot import Plot
    from evo.store.candidates import Candidates
    from evo.store.reader import RunReader
    from evo.store.view import ArchiveView

__all__ = ["Live", "Run", "load"]


class Live(Protocol):
    """What a search without a log shows of itself."""

    @property
    def header(self) -> Mapping[str, Any]:
        """As in the run file."""

    @property
    def totals(self) -> Mapping[str, Any]:
        """As in the run file."""

    def elites(self) -> Elites:
        """Of the main archive."""


class Run:
    """A search's record: what was found, how it went, and its pictures. Every property reads the present state.

    Args:
        reader: of the run file; None for a search without a log.
        problem: gives genomes their form; without it genomes are JSON-like data.
        directory: the run directory; None for a run in memory.
        live: the search itself, where there is no log.
        unknown: why there is no problem, for the errors of what needs one.
    """

    def __init__(
        self,
        reader: RunReader | None,
        problem: Problem | None = None,
        directory: Path | None = None,
        *,
        live: Live | None = None,
        unknown: str = "",
    ) -> None:
        self._reader = reader
        self._live = live
        self._unknown = unknown
        self.problem = problem
        self.dir = directory

    def __repr__(self) -> str:
        best = self.best
        found = "nothing measured yet" if best is None else f"best {_pairs(best.objectives)}"
        return f"<Run {self.name!r}: {self.state}, {self.evaluations:g} evaluations, {found}>"

    @property
    def reader(self) -> RunReader:
        """Queries over the run file.

        Raises:
            RunError: the search keeps no log.
        """
        if self._reader is None:
            raise RunError("this search keeps no log, so only its elites are known: run it with log=True")
        return self._reader

    @property
    def logged(self) -> bool:
        """Whether the search keeps a log."""
        return self._reader is not None

    @cached_property
    def _stored_header(self) -> dict[str, Any]:
        return self.reader.header()

    @property
    def header(self) -> dict[str, Any]:
        """The run's specification: problem, algorithm, seed, order, budget, objectives, measures, archives."""
        return self._stored_header if self._live is None else dict(self._live.header)

    @property
    def totals(self) -> dict[str, Any]:
        """Where the run stands: counts, failures, best, operators' and archive's statistics."""
        return self.reader.totals() if self._live is None else dict(self._live.totals)

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.header.get("name") or (self.dir.name if self.dir else "run"))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.header["seed"])

    @property
    def state(self) -> str:
        """``running``, ``finished``, ``stopped``, ``interrupted`` or ``failed``."""
        return str(self.totals.get("state", "running"))

    @property
    def reason(self) -> str:
        """Why it ended, in words."""
        return str(self.totals.get("reason", ""))

    @property
    def evaluations(self) -> float:
        """Distinct work told so far: what the budget counts."""
        return float(self.totals.get("evaluations", 0.0))

    @property
    def failures(self) -> dict[str, int]:
        """Failed requests by kind: failed, invalid, timeout, crashed."""
        counts = self.totals.get("failures", {})
        return {one.name.lower(): int(counts.get(one.name.lower(), 0)) for one in Status if is_failure(one)}

    @property
    def rejected(self) -> int:
        """Requests whose genome turned out not to be what is searched; no failures."""
        return int(self.totals.get("rejected", 0))

    @property
    def counters(self) -> dict[str, float]:
        """Totals that the work itself counted."""
        return dict(self.totals.get("counters", {}))

    @property
    def costs(self) -> dict[str, float]:
        """Costs other than evaluations that the work reported: tokens, money."""
        return dict(self.totals.get("costs", {}))

    @property
    def artifacts(self) -> dict[str, str]:
        """name -> hash of what the work produced."""
        return dict(self.totals.get("artifacts", {}))

    @property
    def summary(self) -> dict[str, Any]:
        """The problem's own closing figures, by name, JSON-like; empty before the end."""
        return dict(self.totals.get("summary", {}))

    @property
    def best(self) -> Best | None:
        """The best candidate by the first objective at the reporting fidelity; None before the first success."""
        found = self.totals.get("best")
        if found is None:
            return None
        genome = found["genome"] if self.problem is None else self.problem.space.stack([found["genome"]])[0]
        return self._best(found["candidate"], genome, found["objectives"], found["measures"], found.get("metrics", {}))

    def bests(self, k: int) -> list[Best]:
        """The k best distinct candidates among the main archive's elites and the best ever; the best first.

        Empty without an objective, which alone says what is better. Genomes are None where the problem is not known.
        """
        champion = self.best
        found = [] if champion is None else [champion]
        if k <= len(found) or not self.header["objectives"]:
            return found[:k]
        view = self.archive
        order = np.lexsort((view.candidate, -self.header["objectives"][0]["sign"] * view.objectives[:, 0]))
        rows = [row for row in order[:k] if champion is None or view.candidate[row] != champion.candidate]
        rows = rows[: k - len(found)]
        blind = self.problem is None and self._reader is not None  # then further genomes cannot be decoded
        genomes = [None] * len(rows) if blind else self._genomes(view.candidate[rows])
        reporting = self.header.get("reporting", "")
        for row, genome in zip(rows, genomes, strict=True):
            candidate = int(view.candidate[row])
            metrics = {} if self._reader is None else self._reader.metrics(candidate, reporting)
            found.append(self._best(candidate, genome, view.objectives[row], view.measures[row], metrics))
        return found

    def _best(self, candidate: int, genome: Any, objectives: Any, measures: Any, metrics: Mapping[str, Any]) -> Best:
        def named(kind: str, values: Any) -> dict[str, float]:
            return {one["name"]: float(value) for one, value in zip(self.header[kind], values, strict=True)}

        return Best(candidate, genome, named("objectives", objectives), named("measures", measures), dict(metrics))

    @property
    def archive(self) -> ArchiveView:
        """The elites of the main archive, as of now; none where the algorithm keeps no archive."""
        names = list(self.header["archives"])
        return self._view(names[0] if names else "")

    @property
    def archives(self) -> dict[str, ArchiveView]:
        """name -> elites, the main archive first."""
        return {name: self._view(name) for name in self.header["archives"]}

    def _view(self, name: str) -> ArchiveView:
        from evo.store.view import ArchiveView

        kept = self.header["archives"]
        if not kept:
            return self._nothing(name)
        description = kept.get(name, {})
        if self._reader is None and self._live is not None and name == next(iter(kept)):
            elites = self._live.elites()
            columns = elites.keys, elites.candidate, elites.objectives, elites.measures
            return ArchiveView(name, *columns, description, self.header, lambda _: elites.genomes)
        held = self.reader.archive(name)
        columns = held.keys, held.candidate, held.objectives, held.measures
        return ArchiveView(name, *columns, description, self.header, self._genomes)

    def _nothing(self, name: str) -> ArchiveView:
        from evo.store.view import ArchiveView

        k, m = len(self.header["objectives"]), len(self.header["measures"])
        none = np.empty(0, np.int64)
        genomes = np.empty(0, dtype=object) if self.problem is None else self.problem.space.empty(0)
        return ArchiveView(name, none, none, np.empty((0, k)), np.empty((0, m)), {}, self.header, lambda _: genomes)

    def _genomes(self, candidates: NDArray[np.int64]) -> Genomes:
        if self._reader is None:
            view = self.archive
            rows = np.argsort(view.candidate)
            found: Genomes = view.genomes[rows[np.searchsorted(view.candidate, candidates, sorter=rows)]]
            return found
        from evo.store.reader import RunReader

        space = self._known("reading genomes").space
        genomes: Genomes = RunReader(self._reader.connection, space).genomes(candidates)
        return genomes

    def _known(self, purpose: str) -> Problem:
        if self.problem is None:
            raise RunError(f"{purpose} needs the problem{self._unknown}: evo.load(run_dir, problem=...)")
        return self.problem

    def candidates(self) -> Candidates:
        """All candidates measured well at the reporting fidelity as numpy columns, in id order.

        Raises:
            RunError: the search keeps no log, or its problem is not known.
        """
        from evo.store.candidates import candidates

        return candidates(self.reader, self._known("reading genomes").space)

    def frame(self) -> Any:
        """A pandas table, one row an evaluated candidate, failures included (`evo.store.frame`)."""
        from evo.store.frame import frame

        return frame(self.reader)

    def curve(self) -> list[dict[str, float]]:
        """Points of the curves: evaluations, elapsed seconds and the archive's statistics."""
        return self.reader.curve()

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """What else happened, in order; of the given kinds only where some are given."""
        return self.reader.events(kinds)

    def workers(self) -> list[dict[str, Any]]:
        """How busy each worker was: one entry a worker and session, in order.

        ``session`` and ``worker`` number it; ``messages`` that it has ended; ``busy`` seconds that it says it
        worked, ``cpu`` seconds of its processor; ``elapsed`` seconds from its first message to the end of the session's
        last (or to its own death); ``share`` is busy / elapsed. A message counts when it has ended.
        """
        return self.reader.workers()

    def artifact(self, digest: str) -> bytes:
        """The content of an artifact by its hash.

        Raises:
            RunError: this run has none such, or it is no hash.
        """
        _check_hash(digest)
        content = self.reader.artifact(digest)
        if content is not None:
            return content
        file = self.artifact_path(digest)
        if file is None:
            raise RunError(f"artifact {digest}: not in this run")
        return file.read_bytes()

    def artifact_path(self, digest: str) -> Path | None:
        """The file of a large artifact, to be mapped into memory rather than read; None for any other.

        Raises:
            RunError: it is no hash.
        """
        _check_hash(digest)
        file = None if self.dir is None else self.dir / "artifacts" / digest
        return file if file is not None and file.is_file() else None

    @property
    def plot(self) -> Plot:
        """Pictures: ``run.plot.heatmap()``, ``run.plot.curves()``, ``run.plot.save(path)``."""
        from evo.monitor.plot import Plot

        return Plot(self)

    def export(self, format: str, path: Path | str, *, archive: str | None = None) -> Path:
        """Write the run in another form: csv, parquet, jsonl, canonical, or a format of the problem's own.

        Args:
            format: which.
            path: the file to write.
            archive: write the elites of this archive instead of all candidates.
        """
        from evo.store.export import export

        return export(self, format, Path(path), archive=archive)

    def show(self, genome: Any) -> str:
        """One genome as the problem shows it to people (`evo.Problem.show`)."""
        return self._known("showing a genome").show(genome)


def _pairs(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={value:.6g}" for name, value in values.items())


def load(run_dir: Path | str, problem: Problem | None = None) -> Run:
    """A run from its directory, finished or going on. Reads only; imports the problem, never an algorithm.

    Args:
        run_dir: where the run is.
        problem: the problem, where the run file's specification cannot be imported (a notebook's class).

    Raises:
        RunError: there is no run, or it is newer than this evo.
    """
    from evo.store.reader import RunReader

    directory = Path(run_dir)
    reader = RunReader.open(directory)
    spec = reader.header().get("spec", {}).get("problem")
    unknown = ""
    if problem is None:
        from evo import registry

        folder = (reader.header().get("config") or {}).get("folder")
        closed = "" if folder is None else _distrusted(Path(folder))
        if folder and not closed:
            registry.search_in(Path(folder))
        try:
            problem = registry.build("problems", spec)
        except (EvoError, ImportError, AttributeError, TypeError, ValueError, OSError) as error:
            # A run must stay readable where its problem's code or data is gone.
            unknown = f" ({type(error).__name__}: {error}{closed})"
    if problem is not None:
        reader.space = problem.space
    return Run(reader, problem, directory, unknown=unknown)


def _distrusted(folder: Path) -> str:
    """Why a folder that a run names is not searched for modules: whoever made the run may have put them there."""
    try:
        about = folder.stat()
    except OSError:  # there is nothing to find
        return ""
    if about.st_uid not in (0, os.geteuid()):
        return f"; {folder} belongs to another user, so it is not searched"
    return f"; everybody may write in {folder}, so it is not searched" if about.st_mode & stat.S_IWOTH else ""


def _check_hash(digest: str) -> None:
    """No name of a file elsewhere: a hash is digits 0-9 and a-f."""
    if not isinstance(digest, str) or not digest or not set(digest) <= set("0123456789abcdef"):
        raise RunError(f"artifact {digest!r}: expected a hash (digits 0-9 and a-f), as artifacts are listed by")
