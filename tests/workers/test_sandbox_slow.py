"""The heavy deeds, other users, other backends: what takes longer than a moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.worlds import canonical
from hostile import DEADLINE, LIMITS, Hostile, employed
from serving import Grouped, Litter, Maker, asked, points, served, started

import evo
from evo import Evaluation, Evaluator, Fidelity, Sandbox, Status
from evo.evaluator import Evaluations, Work
from evo.records import BORN, Genomes
from evo.worker import Kit, Message
from problems.arm import Arm
from workers.evaluation import Bench
from workers.inline import Inline

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="evo-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("hungry_together", ("memory",)),
        ("hungry_in_files", ("files",)),
        ("bomb", ("processes",)),
        ("fill", ("files",)),
        ("fill_unseen", ("files",)),
        ("many_names", ("files",)),
        ("deep", ("files",)),
    ],
)
def test_what_takes_too_much_of_the_machine_is_ended(name: str, reasons: tuple[str, ...]) -> None:
    with employed(Inline()) as deed:
        found = deed(name, deadline=30.0)
        assert found.status == Status.FAILED
        assert found.reason.startswith(tuple(f"sandbox: {reason}: more than" for reason in reasons))
        assert deed("score").status == Status.OK


# Other users ----------------------------------------------------------------------------------------------------------

AS_ANOTHER = """
    import os, sys
    sys.path[:0] = [{tests!r}, {root!r}]
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        os.environ["HOME"] = {home!r}
    import workers.sandbox.client as client
    client.BEGIN = {begin!r}
    from hostile import employed
    from workers.inline import Inline
    worker = Inline()
    with employed(worker) as deed:
        contained = worker._bench.about["sandbox"]["contained"]
        for name, given in [
            ("crash", dict()), ("hungry", dict()), ("threads", dict()), ("write", dict(path={victim!r})),
            ("spy", dict()), ("sleep", dict(deadline=0.5)), ("kill_all", dict()),
        ]:
            found = deed(name, **given)
            assert deed("score").value == 1.0
            print(name, found.status.name, found.value, sep=":")
        print("reached", *(name for name, how in contained.items() if how), sep=":")
"""


@pytest.mark.parametrize("begin", ["auto", "bubblewrap"])
def test_an_ordinary_user_has_the_same_verdicts(place: Path, begin: str) -> None:
    """As nobody special; without namespaces of its own, too, inside bubblewrap where that is installed."""
    home = place / "home"
    home.mkdir()
    home.chmod(0o777)
    victim = place / "victim"
    victim.write_text("whole")
    victim.chmod(0o666)
    python = _usable_by_all()
    if python is None:
        pytest.skip("this Python lies where no other user can read it")
    told = {"tests": str(Path(__file__).parent), "root": str(ROOT), "home": str(home), "victim": str(victim)}
    script = textwrap.dedent(AS_ANOTHER).format(**told, begin=begin)
    done = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, timeout=200, cwd="/", check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(one for one in sys.path if "site-" in one)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert lines[:3] == ["crash:CRASHED:nan", "hungry:FAILED:nan", "threads:FAILED:nan"]
    assert lines[5] == "sleep:TIMEOUT:nan"
    reached = lines[-1].split(":")[1:]
    if "environment" not in reached:
        assert lines[4] == "spy:OK:1.0"
    if not any(name == "files" for name in reached):
        assert lines[3] == "write:FAILED:nan"
        assert victim.read_text() == "whole"


def _usable_by_all() -> str | None:
    """A Python like this one, where every folder on the way to it may be entered by all."""
    for program in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        path = Path(os.path.realpath(program))
        if os.geteuid() and program == sys.executable:
            return program
        if path.is_file() and all(folder.stat().st_mode & 0o001 for folder in path.parents):
            asked = [str(path), "-c", "import sys; print(sys.version_info[:2])"]
            if subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.split() == (
                str(sys.version_info[:2]).split()
            ):
                return str(path)
    return None


# The same results, whatever the backend -------------------------------------------------------------------------------


def search(folder: Path | None = None, **more: Any) -> evo.Run:
    return evo.search(Arm(), evo.MapElites((5, 5), batch=15), evaluations=60, seed=3, run_dir=folder, **more)


def test_a_search_in_the_sandbox_is_the_same_to_the_byte(tmp_path: Path) -> None:
    plain = canonical(search(), tmp_path)
    assert canonical(search(sandbox=True), tmp_path) == plain
    run = search(tmp_path / "run", sandbox=Sandbox(memory=1 << 30))
    assert canonical(run, tmp_path) == plain
    assert set(run.totals["sandbox"]) == set(evo.sandbox.ABILITIES)
    (said,) = run.events("worker")
    assert said["sandbox"]["fidelities"] == ["born", "full"]
    again = evo.resume(tmp_path / "run", evaluations=80)
    assert again.header["spec"]["workers"]["sandbox"]["memory"] == 1 << 30


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_ray_workers_have_sandboxes_too(tmp_path: Path) -> None:
    assert canonical(search(workers=2, sandbox=True), tmp_path) == canonical(search(), tmp_path)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_ray_worker_outlives_its_candidates() -> None:
    from workers.ray_actor import RayWorkers

    with employed(RayWorkers()) as deed:
        assert deed("crash").status == Status.CRASHED
        assert deed("loop").status == Status.TIMEOUT
        assert deed("hungry").status == Status.FAILED
        assert deed("score").value == 1.0


class Deadly(evo.Problem):
    """One point in ten kills its process."""

    space = evo.Box(0.0, 1.0, size=2)
    objectives = (evo.Minimize("sum"),)
    sandbox = True

    def evaluate(self, x: Any) -> Evaluation:
        if x[0] < 0.1:
            os.kill(os.getpid(), 11)
        return Evaluation([float(x.sum())])


def test_a_search_goes_on_though_candidates_crash() -> None:
    run = evo.search(Deadly(), evo.Random(), evaluations=60, seed=1)
    assert run.state == "finished"
    assert run.failures["crashed"] > 0
    assert run.evaluations == 60


# What a bench offers, inside ------------------------------------------------------------------------------------------


def boxed(problem: evo.Problem, artifacts: Path | None = None, **operators: Any) -> Bench:
    return Bench(Kit(problem, operators, 5, artifacts, Sandbox()))


def test_artifacts_large_and_small_arrive_and_can_be_needed(place: Path) -> None:
    workers = Inline()
    try:
        workers.open(Kit(Maker(), {}, 5, place, Sandbox()), [])
        worker = workers.start(evo.Resources())
        workers.poll(0)
        (part,) = served(workers, worker, asked(points(1)))
        names = part.outcomes.notes[0].artifacts
        assert part.artifacts == {names["small"]: b"s" * 10}
        assert (place / names["large"]).read_bytes() == b"l" * (3 << 20)
        assert (place / names["large"]).stat().st_uid == os.geteuid()
        (part,) = served(workers, worker, asked(points(1), needs=[(names["large"],)]))
        assert part.outcomes.objectives.tolist() == [[float(3 << 20)]]
    finally:
        workers.close()


def test_children_are_made_inside_as_outside() -> None:
    requests = asked(None, make="litter", args=[{"children": n} for n in (0, 1, 3, -1)], fidelity=BORN)
    message = Message(1, requests, 4, 60.0)
    outside = Bench(Kit(Maker(), {"litter": Litter()}, 5))
    inside = boxed(Maker(), litter=Litter())
    try:
        (there, _), (here, _) = outside.serve(message, 0, 4), inside.serve(message, 0, 4)
    finally:
        inside.close()
    assert there.genomes is not None
    assert here.genomes is not None
    assert here.genomes.tobytes() == there.genomes.tobytes()
    assert here.owner is not None
    assert there.owner is not None
    assert here.owner.tolist() == there.owner.tolist()
    assert [note.counters for note in here.notes.values()] == [note.counters for note in there.notes.values()]
    assert here.status is not None
    assert here.status.tolist() == [0, 0, 0, Status.FAILED]


class Waiting(Evaluator):
    """Waits, as for a network call; a group with a negative number in it crashes."""

    def __init__(self, group: int = 1, concurrency: int = 1) -> None:
        self.group, self.concurrency = group, concurrency

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        return {"full": Fidelity(group=self.group, concurrency=self.concurrency, sandbox=True)}

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        import time

        if (genomes < 0).any():
            os.abort()
        time.sleep(0.5)
        return Evaluations(np.full((len(genomes), 1), float(len(genomes))))


class Waits(Grouped):
    def __init__(self, **more: int) -> None:
        self.more = more

    @property
    def evaluator(self) -> Evaluator:
        return Waiting(**self.more)


def test_groups_stay_together_and_only_the_guilty_of_one_pays() -> None:
    bench = Bench(Kit(Waits(group=4), {}, 5))
    x = np.abs(points(10))
    x[5] = -1
    try:
        found, _ = bench.serve(Message(1, asked(x), 10, 20.0), 0, 10)
    finally:
        bench.close()
    assert found.status is not None
    assert found.status.tolist() == [0] * 5 + [Status.CRASHED] + [0] * 4
    assert found.objectives[:, 0].tolist()[:5] == [4.0] * 4 + [1.0]
    assert found.objectives[:, 0].tolist()[6:] == [1.0, 1.0, 2.0, 2.0]


def test_concurrent_evaluations_wait_together() -> None:
    import time

    bench = Bench(Kit(Waits(concurrency=16), {}, 5))
    begun = time.monotonic()
    try:
        found, _ = bench.serve(Message(1, asked(np.abs(points(16))), 16, 20.0), 0, 16)
        took = time.monotonic() - begun
    finally:
        bench.close()
    assert found.status is None
    assert took < 16 * 0.5


class Talkative(Waiting):
    """A negative number leaves a large file behind, a large one sleeps, any other says much."""

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        import time

        x = float(genomes[0, 0])
        left: Any = os.urandom(900 << 10)
        if x < 0:
            left = work.scratch / "file"
            left.write_bytes(os.urandom(3 << 20))
        else:
            time.sleep(1.2 if x > 1 else 0.6)
        return Evaluations(np.ones((1, 1)), artifacts={} if x > 1 else {0: {"left": left}})


def test_nobody_is_late_because_the_worker_was(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it takes a second to keep a file, answers wait, and the clocks of the others are looked at as before."""
    import time

    from workers.sandbox.folder import given_back

    def slowly(*given: Any) -> None:
        time.sleep(1.0)
        given_back(*given)

    monkeypatch.setattr("workers.sandbox.client.given_back", slowly)

    class Talks(Grouped):
        evaluator = Talkative(concurrency=4)

    bench = Bench(Kit(Talks(), {}, 5, place, Sandbox()))
    x = np.abs(points(4))
    x[:, 0] = [-1.0, -1.0, 2.0, 0.5]
    try:
        found, small = bench.serve(Message(1, asked(x), 4, 1.6), 0, 4)
    finally:
        bench.close()
    assert found.status is None, found.notes
    assert sum(map(len, small.values())) == 900 << 10


def test_no_process_is_left_when_a_worker_has_closed() -> None:
    psutil = pytest.importorskip("psutil")
    workers = Inline()
    started_before = set(psutil.Process().children(recursive=True))
    started(workers, Hostile())  # no sandbox: nothing is started
    assert set(psutil.Process().children(recursive=True)) == started_before
    workers.close()
    with employed(Inline(), limits=LIMITS) as deed:
        deed("sleep", deadline=DEADLINE / 4)
        assert set(psutil.Process().children(recursive=True)) - started_before
    assert set(psutil.Process().children(recursive=True)) == started_before
