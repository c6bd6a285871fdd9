"""A program in the sandbox: what it must not do fails its candidate alone, and what it may do is as without."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from programs import python

import evo
from evo.config import load_config
from problems.executable.guard import marked
from problems.executable.home import Home

RUN = """
problem:
  type: executable
  command: ["./program", "{act}"]
  parameters: {act: {choices: [fine, write, allocate, fork, hang, crash, flood, deny, last]}}
  start:
    - {act: fine}
    - {act: write}
    - {act: allocate}
    - {act: hang}
    - {act: crash}
    - {act: flood}
    - {act: deny}
    - {act: last}
  objectives: {cost: minimize}
  environment: {OUTSIDE: OUTSIDE_PATH}
  deadline: 5
algorithm: {type: genetic, population: 8}
seed: 1
budget: {evaluations: 8}
"""

SCRIPT = """
act = sys.argv[1]
if act == "write":
    open(os.environ["OUTSIDE"], "w").write("was here")
elif act == "allocate":
    held = bytearray(10 << 30)
elif act == "hang":
    if os.fork() == 0:
        os.setsid()
    while True: pass
elif act == "crash":
    os.abort()
elif act == "flood":
    for _ in range(30): sys.stdout.write("x" * 1_000_000)
    print()
elif act == "deny":
    sys.exit(65)
open("result", "w").write("kept")
print(json.dumps({"cost": 1 if act == "fine" else 2, "artifacts": {"result": "result"}}))
"""


@pytest.mark.slow
def test_a_program_in_the_sandbox_is_contained_and_answers_as_without(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    python(tmp_path, SCRIPT)
    config = tmp_path / "search.yaml"
    config.write_text(RUN.replace("OUTSIDE_PATH", str(outside)))
    problem, algorithm = load_config(config).built
    began = time.monotonic()
    limits = evo.Sandbox(memory=512 << 20)
    run = evo.search(problem, algorithm, evaluations=8, seed=1, run_dir=tmp_path / "run", sandbox=limits)
    assert time.monotonic() - began < 90
    reasons = "\n".join(run.reader.messages())
    assert "exceeded its deadline of 5 s" in reasons
    assert "SIGABRT" in reasons
    assert "MemoryError" in reasons
    kept_out = not run.totals["sandbox"]["files"]  # otherwise it is said what gets through here
    assert outside.exists() is not kept_out
    assert sum(run.failures.values()) == 3 + kept_out, reasons
    assert run.rejected == 1
    assert run.best is not None
    assert run.best.objectives == {"cost": 1.0}
    assert marked(Home.here().mark) == []
