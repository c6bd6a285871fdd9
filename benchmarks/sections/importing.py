"""What `import evo` costs, in CPU seconds of a fresh process, and which third-party packages it loads.

The import is timed inside the process, so the interpreter's own start is not in it; numpy is, and is shown alone beside
it. The best of several processes counts: caches of compiled code are warm.
"""

from __future__ import annotations

import json
import subprocess
import sys

from .common import show, verdict

TARGET = 0.3
_PROGRAM = """
import sys, time
before = set(sys.modules)
start = time.process_time()
import {module}
spent = time.process_time() - start
import json, importlib.metadata as metadata
loaded = {{name.partition('.')[0] for name in set(sys.modules) - before}}
owners = metadata.packages_distributions()
theirs = set(owners) - set(sys.stdlib_module_names)
theirs -= {{"evo", "operators", "problems", "workers"}}
print(json.dumps([spent, sorted(name for name in loaded & theirs if not name.startswith("__editable__"))]))
"""


def measure(module: str, rounds: int) -> tuple[float, list[str]]:
    """(best CPU seconds, third-party packages)"""
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", _PROGRAM.format(module=module)], check=True, capture_output=True
            ).stdout
        )
        for _ in range(rounds)
    ]
    return min(one[0] for one in found), found[0][1]


def run(quick: bool) -> bool:
    """Print the table; whether the targets are met."""
    rounds = 5 if quick else 15
    alone, _ = measure("numpy", rounds)
    seconds, packages = measure("evo", rounds)
    show(
        "import evo",
        ("what", "measured", "target", ""),
        [
            ("import evo, CPU seconds", f"{seconds:.3f}", f"<= {TARGET}", verdict(seconds <= TARGET)),
            ("of which numpy", f"{alone:.3f}", "", ""),
            ("third-party packages", ", ".join(packages), "numpy", verdict(packages == ["numpy"])),
        ],
    )
    return seconds <= TARGET and packages == ["numpy"]
