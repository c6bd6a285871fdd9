"""How much the master's memory grows over a million evaluations while it looks for equal work.

Inline, log on disk, every genome of a 10-number box hashed and remembered (`deduplicate = True`), the grid's elites and
their genomes included. Growth is counted in a fresh process from after the first 50,000 evaluations, when the archive's
pages, caches and code are in, to the end.
"""

from __future__ import annotations

import json
import subprocess
import sys

from .common import show, verdict

TARGET = 50.0
_PROGRAM = """
import json, os, sys, tempfile
import psutil
import evo
from evo.engine.order import Strict
from operators.real.gaussian import Gaussian
from problems.projection import Sphere

class Remembered(Sphere):
    deduplicate = True

class Watch:
    def __init__(self): self.points = []
    def start(self, header): pass
    def update(self, totals): self.points.append((totals["evaluations"], psutil.Process().memory_info().rss / 2**20))
    def finish(self, run): self.update(run.totals)

watch = Watch()
with tempfile.TemporaryDirectory() as folder:
    evo.search(
        Remembered(10), evo.MapElites((100, 100), operator=Gaussian(0.5)), evaluations=EVALUATIONS, seed=1,
        order=Strict(540, 4), run_dir=folder + "/run", monitor=watch,
    )
print(json.dumps(watch.points))
"""


def run(quick: bool) -> bool:
    """Print the table; whether the target is met."""
    evaluations = 1_000_000  # about fifteen seconds: nothing to shorten
    program = _PROGRAM.replace("EVALUATIONS", str(evaluations))
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout
    points = json.loads(output)
    base = next(rss for spent, rss in points if spent >= 50_000)
    marks = [next(point for point in points if point[0] >= share * evaluations) for share in (0.25, 0.5, 0.75, 1.0)]
    growth = max(rss for _, rss in points) - base
    rows = [(f"after {spent:,.0f} evaluations", f"{rss - base:+.1f}", "", "") for spent, rss in marks]
    rows.append(("most at any time", f"{growth:+.1f}", f"<= {TARGET:g}", verdict(growth <= TARGET)))
    show(
        f"Growth of the master over {evaluations:,} evaluations with dedupe on, MiB",
        ("when", "growth", "target", ""),
        rows,
        f"resident size after the first 50,000 evaluations: {base:.0f} MiB",
    )
    return growth <= TARGET
