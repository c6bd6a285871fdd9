"""The process above the master: starts it again where it died, as long as that helps.

The master is a fork of this process, taken before anything heavy is loaded: it starts at no cost, and no folder of the
user's can hide it. The supervisor loads nothing more; what it knows of a run it reads from the tether and the run file.
"""

from __future__ import annotations

import faulthandler
import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from evo.engine.patience import Away, listens
from evo.engine.processes import Child, Inbox, adopt, end_children, end_with
from evo.engine.rundir import SUPERVISOR_LOG, Standing, began, clear
from evo.engine.stopping import KILL_SECONDS, WAKE, Stopping, asking
from evo.engine.tether import Tether

__all__ = ["CLUSTER_LOST", "INTERRUPTED", "Supervisor"]

FAILED, CLUSTER_LOST, INTERRUPTED = 1, 75, 130
_POLL = 0.25
_CLOSING = 60.0
"""Seconds for which a master that has said its exit code may go on ending."""
HEAD_SECONDS = 20
"""After so many seconds without its head Ray ends the master, where the user says nothing else; Ray's own: 60."""
_HEAD_VARIABLE = "RAY_gcs_rpc_server_reconnect_timeout_s"


@dataclass
class Supervisor:
    """One command's masters, one after the other.

    Args:
        restarts: masters in a row that may die without getting the run on.
        patience: seconds for which a given cluster may be away.
        hang: seconds for which a master that drives may say nothing.
    """

    restarts: int
    patience: float
    hang: float
    _inbox: Inbox = field(init=False)
    _tether: Tether = field(default_factory=Tether)
    _run: Path | None = None
    _begun: bool = False
    _said: list[str] = field(default_factory=list)
    """Why masters ended, as far as the run file does not know yet."""
    _deaths: list[str] = field(default_factory=list)
    """In a row without progress."""
    _before: Standing = field(default_factory=Standing)
    _away: Away | None = None
    _stop: bool = False
    _kill_at: float = float("inf")
    _log: int = -1
    _others: frozenset[Child] = frozenset()
    """Children that this process had before, which are not ours to end."""

    def start(self) -> Stopping:
        """Returns in the master, each time there is a new one; here it ends with the exit code."""
        self._others = adopt()
        self._inbox = Inbox(asking() | {signal.SIGCHLD})
        while True:
            self._tether = Tether(tuple(self._said), self._run, self._begun, supervised=True)
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            supervisor = os.getpid()
            with self._inbox.held({WAKE}) as mask:  # a master hears from its first moment
                master = os.fork()
                if master == 0:
                    return self._become_master(supervisor, mask)
            self._decide(self._watch(master))

    def _become_master(self, supervisor: int, mask: set[int]) -> Stopping:
        if not end_with(supervisor, signal.SIGTERM):
            os._exit(INTERRUPTED)
        self._inbox.leave()
        if self._log >= 0:
            os.close(self._log)
        stopping = Stopping(self._tether)
        stopping.armed = False
        stopping.take()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.environ.setdefault(_HEAD_VARIABLE, str(HEAD_SECONDS))
        if not self._deaths:  # where a crash was is told once
            with suppress(OSError, ValueError, AttributeError):  # no standard error
                faulthandler.enable()
        return stopping

    # While a master lives ---------------------------------------------------------------------------------------------

    def _watch(self, master: int) -> str:
        """Wait for the master's end; why it ended, empty where in order."""
        beats, silence, closing, killed = 0, 0.0, 0.0, ""
        before = time.monotonic()
        while True:
            found = self._inbox.wait(_POLL)
            now = time.monotonic()
            passed, before = min(now - before, 2 * _POLL), now  # what we slept through, the master did too
            status = _reaped(master)
            if status is not None:
                return self._why(status, killed)
            for number in found:
                if number != signal.SIGCHLD:
                    self._asked(master, number)
            least = self._tether.least
            silence = 0.0 if self._tether.beats != beats or least is None else silence + passed
            closing = 0.0 if self._tether.code is None else closing + passed
            beats = self._tether.beats
            if silence > max(self.hang, least or 0):
                killed = f"said nothing for {self.hang:g} s"
            if killed or closing > _CLOSING or now > self._kill_at:
                os.kill(master, signal.SIGKILL)

    def _asked(self, master: int, number: int) -> None:
        if number == signal.SIGINT:
            self._tether.interrupt()
        else:
            self._tether.hurry()
            self._kill_at = min(self._kill_at, time.monotonic() + KILL_SECONDS)
        self._stop = True
        os.kill(master, WAKE)

    def _why(self, status: int, killed: str) -> str:
        facts = self._tether.facts
        self._run = Path(facts["run"]) if "run" in facts else self._run
        begun = self._begun or self._tether.begun
        self._begun = begun and self._run is not None and began(self._run)  # without workers a master takes it back
        if self._begun and self._tether.begun:
            self._said.clear()
        if self._tether.code is not None:
            return "cluster lost" if self._tether.code == CLUSTER_LOST else ""
        if killed:
            return killed
        if os.WIFSIGNALED(status):
            return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
        code = os.WEXITSTATUS(status)
        if code == 1 and facts.get("backend") == "ray":  # so Ray ends a driver, from C++
            return "head lost"
        return f"ended with exit code {code} in the middle"

    # After its end ----------------------------------------------------------------------------------------------------

    def _decide(self, why: str) -> None:
        """End with the run's exit code, or return to start another master."""
        if not why:
            assert self._tether.code is not None
            end_children(
                self._others, ours=True
            )  # a daemon that an evaluation has started on purpose has a session of its own
            raise SystemExit(self._tether.code)
        _show_cursor()
        end_children(self._others)
        if self._stop:
            self._end(INTERRUPTED, f"stopped ({why})")
        standing = Standing.of(self._run, self._before)
        self._note(why, standing)
        self._said.append(why)
        if (standing.moves, standing.results) > (self._before.moves, self._before.results):
            self._deaths.clear()
            self._away = None
        self._before = standing
        address, lost = self._tether.facts.get("address"), why in ("cluster lost", "head lost")
        if address:
            self._wait(address, why, lost)
        if address and lost:
            return  # patience is the measure of that
        self._deaths.append(why)
        if len(self._deaths) > self.restarts:
            self._give_up()
        place = f" {_short(self._run)}" if self._run else ""
        _say(f"the master was lost ({why}); {'resuming' if self._begun else 'starting again'}{place}")
        if len(self._deaths) > 1:
            self._sleep(min(2.0 ** (len(self._deaths) - 2), 30.0))

    def _wait(self, address: str, why: str, lost: bool) -> None:
        """Until somebody listens at the cluster's address; `lost`: whether that is what the master has died of."""
        if not lost:
            self._away = None  # the master was there until now
            if listens(address):
                return
        if self._away is None:
            self._away = Away(address, self.patience)
        for line in self._away.waiting(why):
            self._note_line(line)
            _say(line)
            self._sleep(self._away.pause)
        if self._away.over:
            self._end(CLUSTER_LOST, f"the Ray cluster at {address} did not come back within {self.patience:g} s")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if set(self._inbox.wait(left)) - {signal.SIGCHLD}:
                self._end(INTERRUPTED, "stopped")

    def _give_up(self) -> NoReturn:
        counts = {why: self._deaths.count(why) for why in self._deaths}
        told = ", ".join(f"{why} {count} times" if count > 1 else why for why, count in counts.items())
        remedy = ""
        if self._tether.facts.get("backend") != "ray" and any("killed" in why or "exit" in why for why in counts):
            remedy = "; what an evaluation does to its process stays there with --sandbox or --backend ray"
        log = f"; log: {_short(self._run)}/{SUPERVISOR_LOG}" if self._run else ""
        self._end(FAILED, f"gave up after {self.restarts} restarts without progress ({told}){log}{remedy}")

    def _end(self, code: int, text: str) -> NoReturn:
        if self._run is not None:
            if self._begun:
                text += f"; continue with: evo resume {_short(self._run)}"
            elif code != FAILED:
                clear(self._run)
        _say(text)
        raise SystemExit(code)

    # The log ----------------------------------------------------------------------------------------------------------

    def _note(self, why: str, standing: Standing) -> None:
        self._note_line(f"{why}; {standing.moves} moves and {standing.results} deliveries are logged")

    def _note_line(self, line: str) -> None:
        """Into the run directory, whose log is locked from now on: the run has somebody who looks after it."""
        if self._run is None or not self._run.is_dir():
            return
        with suppress(OSError):
            if self._log < 0:
                self._log = os.open(self._run / SUPERVISOR_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
                fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._log, f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}\n".encode())


def _reaped(master: int) -> int | None:
    """The master's exit status once it has ended; orphans that came here are reaped as well."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == master:
                return status
            if pid == 0:
                break
    return None


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # the terminal is gone: nobody listens, the run goes on
        print(f"evo: {text}", file=sys.stderr, flush=True)


def _show_cursor() -> None:
    """A panel that was being redrawn has hidden it."""
    with suppress(OSError, ValueError):
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[?25h\n")
            sys.stdout.flush()


def _short(directory: Path | None) -> str:
    here = Path.cwd()
    return str(directory.relative_to(here) if directory is not None and directory.is_relative_to(here) else directory)
