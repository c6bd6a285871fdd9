"""What only workers in processes of their own can show: deaths, refusals, and finding the right code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import Bowl, Deadly, Telling, another, asked, points, served, started, until

from evo.errors import WorkerError
from evo.evaluator import Resources
from evo.worker import Delivered, Died, Kit, Message, Workers

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workers(ray_session: None) -> Iterator[Workers]:
    from workers.ray_actor import RayWorkers

    made = RayWorkers()
    yield made
    made.close()


def process_of(workers: Workers, worker: int) -> int:
    (part,) = served(workers, worker, asked(points(1)))
    return int(part.outcomes.objectives[0, 0])


def test_a_killed_process_is_a_death_and_can_be_replaced(workers: Workers) -> None:
    worker = started(workers, Telling())
    os.kill(process_of(workers, worker), signal.SIGKILL)
    workers.send(worker, Message(1, asked(points(1)), 1, 60.0))
    (death,) = until(workers, 1)
    assert isinstance(death, Died)
    assert death.worker == worker
    assert not death.infrastructure
    assert "worker process has died" in death.reason
    assert len(death.reason) < 400
    assert process_of(workers, another(workers)) > 0


def test_what_was_delivered_before_a_crash_is_kept(workers: Workers) -> None:
    worker = started(workers, Deadly())
    x = points(9)
    x[2, 0], x[5, 0] = 0.5, 0.25  # the chunk before the crash takes its time
    workers.send(worker, Message(3, asked(x), 2, 60.0))
    workers.send(worker, Message(4, asked(points(1)), 1, 60.0))
    events = until(workers, 3)
    assert [event.outcomes.ids.tolist() for event in events if isinstance(event, Delivered)] == [[100, 101], [102, 103]]
    death = events[-1]
    assert isinstance(death, Died)
    assert not death.infrastructure
    assert workers.poll(0.2) == []


def test_a_killed_worker_sends_nothing_more(workers: Workers) -> None:
    worker = started(workers, Deadly())
    x = points(4)
    x[:, 0] = 0.5
    workers.send(worker, Message(3, asked(x), 1, 60.0))
    until(workers, 1)
    before = time.monotonic()
    workers.kill(worker)
    assert workers.poll(0.7) == []
    assert time.monotonic() - before < 5
    served(workers, another(workers), asked(points(2)))


def test_ctrl_c_is_not_for_workers(workers: Workers) -> None:
    worker = started(workers, Telling())
    process = process_of(workers, worker)
    os.kill(process, signal.SIGINT)
    assert process_of(workers, worker) == process


def test_a_warm_up_that_raises_is_a_death_with_its_traceback(workers: Workers) -> None:
    class Cold(Bowl):
        def warm_up(self) -> None:
            raise FileNotFoundError("no model here")

    workers.open(Kit(Cold(), {}, 1), [Resources()])
    workers.start(Resources())
    (death,) = until(workers, 1)
    assert isinstance(death, Died)
    assert not death.infrastructure
    assert death.reason.startswith("FileNotFoundError: no model here\n")
    assert "in warm_up" in death.reason


def test_a_shape_that_no_node_can_hold_is_refused_with_both_numbers(workers: Workers) -> None:
    with pytest.raises(WorkerError, match=r"asked to have cpus=1, GPU-nobody-has=2, .* has cpus=4, GPU-nobody-has=0"):
        workers.open(Kit(Bowl(), {}, 1), [Resources(custom={"GPU-nobody-has": 2})])
    with pytest.raises(WorkerError, match=r"asked to have cpus=99, but the largest node has cpus=4"):
        workers.open(Kit(Bowl(), {}, 1), [Resources(), Resources(cpus=99)])
    with pytest.raises(WorkerError, match=r"gpus=1000, but the largest node has .*gpus=\d"):
        workers.open(Kit(Bowl(), {}, 1), [Resources(gpus=1000)])


def test_a_problem_that_cannot_be_pickled_is_refused_by_name(workers: Workers) -> None:
    class Locked(Bowl):
        def __init__(self) -> None:
            self.guard = threading.Lock()

    with pytest.raises(WorkerError, match=r"Locked\.guard cannot be sent"):
        workers.open(Kit(Locked(), {}, 1), [Resources()])


def test_a_user_module_that_workers_cannot_import_is_enough(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "helping_hand.py").write_text("def twice(x):\n    return 2 * x\n")
    source = """
        import numpy as np
        import helping_hand
        from evo.evaluator import Evaluations
        from evo.problem import Minimize, Problem
        from evo.spaces import Box

        class Private(Problem):
            space = Box(-1.0, 1.0, size=3)
            objectives = (Minimize("value"),)

            def evaluate_batch(self, x):
                return Evaluations(helping_hand.twice(x[:, :1]))
        """
    (tmp_path / "private_problem.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path))
    problem = __import__("private_problem").Private()
    for file in tmp_path.glob("*.py"):
        file.unlink()
    x = points(3)
    (part,) = served(workers, started(workers, problem), asked(x))
    np.testing.assert_array_equal(part.outcomes.objectives, 2 * x[:, :1])


def test_shared_state_has_the_thread_count_of_its_shape(workers: Workers) -> None:
    class Threads(Bowl):
        def evaluate_batch(self, x):  # type: ignore[no-untyped-def]
            found = super().evaluate_batch(x)
            found.objectives[:] = float(os.environ["OMP_NUM_THREADS"])
            return found

    workers.open(Kit(Threads(), {}, 1), [Resources(cpus=2)])
    worker = workers.start(Resources(cpus=2))
    until(workers, 1)
    (part,) = served(workers, worker, asked(points(1)))
    assert part.outcomes.objectives.tolist() == [[2.0]]


@pytest.mark.slow
def test_a_folder_called_problems_where_the_run_starts_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "here" / "problems").mkdir(parents=True)
    (tmp_path / "here" / "problems" / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    script = f"""
        import sys
        sys.path.append({str(ROOT / "tests" / "workers")!r})
        from serving import Bowl, asked, points, served, started
        from workers.ray_actor import RayWorkers

        class Importing(Bowl):
            def warm_up(self):
                import problems.arm

        if __name__ == "__main__":
            workers = RayWorkers(1, log={str(tmp_path / "ray.log")!r})
            (part,) = served(workers, started(workers, Importing()), asked(points(2)))
            workers.close()
            print(part.outcomes.ids.tolist())
        """
    (tmp_path / "main.py").write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "main.py")],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "[100, 101]\n", done.stderr
