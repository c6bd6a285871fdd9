"""The sandbox: what this host contains, the verdict on each kind of misdeed and how soon it came, and what it costs.

    python benchmarks/sandbox.py [--deadline 2] [--evaluations 100] [--only crash,loop]

Everything is done for real, on one worker in this process. A misdeed passes when its verdict is the right one, came
within the deadline and one second more, and the candidate after it on the same worker scores. Costs are medians per
evaluation, measured in turns: nothing around it, a plain subprocess (Python started anew, the usual way to survive a
crash), and the sandbox; and the sandbox's start. On a machine that is busy otherwise the times grow; processor time
grows less.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "workers")]

from hostile import LIMITS, SECRET, Verdict, employed  # noqa: E402

from workers.inline import Inline  # noqa: E402
from workers.sandbox.abilities import abilities_of  # noqa: E402

MISDEEDS = [
    ("crash", "CRASHED", "killed by SIGSEGV", "crash (SIGSEGV)"),
    ("loop", "TIMEOUT", "deadline", "endless loop"),
    ("stubborn", "TIMEOUT", "deadline", "endless loop in C, deaf to signals"),
    ("hungry", "FAILED", "memory", "10 GB allocation"),
    ("verbose", "FAILED", "output", "1 GB of output"),
    ("bomb", "FAILED", "processes", "fork bomb"),
    ("daemon", "OK", "", "daemonised grandchild (dead after)"),
    ("write", "FAILED", "", "write outside, by its path"),
    ("write_by_link", "FAILED", "", "write outside, by a link"),
    ("open_up", "FAILED", "", "chmod of the folder above"),
    ("tcp", "FAILED", "", "network call, TCP"),
    ("udp", "FAILED", "", "network call, UDP"),
    ("abstract", "FAILED", "", "network call, abstract Unix socket"),
    ("spy", "OK", "", "secret in environments (not found)"),
    ("kill", "OK", "", "kill every process (worker lives)"),
    ("trace", "FAILED", "", "ptrace of the worker"),
    ("fill", "FAILED", "files", "filling the disk, many files"),
    ("fill_unseen", "FAILED", "files", "filling the disk, files without names"),
    ("forge", "FAILED", "answer is not in order", "forged answer"),
    ("leave_at_once", "FAILED", "without an answer", "exit(0) without an answer"),
]


def main() -> int:
    """Print the tables; 1 where something did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds for each misdeed")
    parser.add_argument("--evaluations", type=int, default=100, help="of each kind, for the costs")
    parser.add_argument("--only", default="", help="misdeeds, by comma")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="evo-bench-", dir="/tmp"))
    folder.chmod(0o755)
    os.environ["A_TOKEN"] = SECRET
    try:
        missed = misdeeds(folder, options)
        costs(options.evaluations)
    finally:
        shutil.rmtree(folder)
    return min(missed, 1)


def misdeeds(folder: Path, options: argparse.Namespace) -> int:
    """What candidates tried, and what came of it: how many did not pass."""
    victim, lock = folder / "victim", folder / "lock"
    for path in (victim, lock):
        path.write_text("whole")
        path.chmod(0o666)
    missed = 0
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as local,
    ):
        udp.bind(("127.0.0.1", 0))
        name = f"evo-bench-{os.getpid()}"
        local.bind(f"\0{name}")
        local.listen()
        given: dict[str, dict[str, Any]] = {
            "daemon": {"lock": str(lock)},
            "write": {"path": str(victim)},
            "write_by_link": {"path": str(victim)},
            "open_up": {"path": str(folder)},
            "tcp": {"port": tcp.getsockname()[1]},
            "udp": {"port": udp.getsockname()[1]},
            "abstract": {"name": name},
            "trace": {"pid": os.getpid()},
            "forge": {"text": "evo-answer-1\nnonsense"},
            "leave_at_once": {"code": 0},
        }
        worker = Inline()
        with employed(worker) as deed:
            assert worker._bench is not None
            for one in abilities_of(worker._bench.about["sandbox"]):
                print(one)
            print(f"\n{'misdeed':38s} {'verdict':9s} {'seconds':>8s} {'next':>6s}  reason")
            for key, status, word, text in MISDEEDS:
                if options.only and key not in options.only.split(","):
                    continue
                found = deed(key, deadline=options.deadline, **given.get(key, {}))
                following = deed("score", deadline=10.0)
                right = found.status.name == status and word in found.reason
                right &= found.seconds <= options.deadline + 1 and following.value == 1.0
                right &= victim.read_text() == "whole" and folder.stat().st_mode & 0o777 == 0o755
                right &= key != "spy" or found.value == 1.0
                right &= key != "daemon" or _free(lock)
                missed += not right
                line = f"{text:38s} {found.status.name:9s} {found.seconds:8.2f} {following.status.name:>6s}"
                print(
                    f"{line}  {found.reason.splitlines()[0] if found.reason else '-'}{'' if right else '   <-- MISSED'}"
                )
    print(f"\n{'all passed' if not missed else f'{missed} missed'}\n")
    return missed


def _free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def costs(evaluations: int) -> None:
    """What an evaluation costs that does nothing, three ways, in turns."""
    program = [sys.executable, "-c", "import numpy"]
    begun = time.perf_counter()
    with employed(Inline()) as boxed:
        start = time.perf_counter() - begun
        with employed(Inline(), limits=replace(LIMITS)) as again, employed_plainly() as plain:
            ways: dict[str, Callable[[], object]] = {
                "no sandbox": lambda: plain("score"),
                "a plain subprocess (python -c 'import numpy')": lambda: subprocess.run(program, check=True),
                "sandbox": lambda: boxed("score", deadline=30.0),
                "sandbox, another server": lambda: again("score", deadline=30.0),
            }
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            used: dict[str, float] = dict.fromkeys(ways, 0.0)
            for _ in range(evaluations):
                for name, way in ways.items():
                    wall, cpu = time.perf_counter(), _cpu()
                    found = way()
                    seconds[name].append(time.perf_counter() - wall)
                    used[name] += _cpu() - cpu + (found.outcomes.cpu_seconds if isinstance(found, Verdict) else 0.0)
    print(f"{'one evaluation that does nothing':48s} {'median ms':>10s} {'fastest ms':>11s} {'processor ms':>13s}")
    for name, times in seconds.items():
        mean = used[name] / evaluations
        print(f"{name:48s} {1e3 * statistics.median(times):10.2f} {1e3 * min(times):11.2f} {1e3 * mean:13.2f}")
    print(f"start of a worker's fork server, its attempts to break out included: {start:.2f} s")
    print("processor time: of this process and of what it waited for; the server's own (about a fork) is not in it")


def employed_plainly() -> Any:
    """A worker without a sandbox."""
    return employed(Inline(), limits=False)  # type: ignore[arg-type]


def _cpu() -> float:
    own, waited = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + waited.ru_utime + waited.ru_stime


if __name__ == "__main__":
    sys.exit(main())
