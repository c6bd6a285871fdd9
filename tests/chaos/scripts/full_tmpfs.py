"""A run on a disk of its own that is really full: ``full_tmpfs.py DIR BYTES``, in a mount namespace of its own.

Prints the error that the run ends with; then the disk gets room, and the run goes on. Needs the right to mount.
"""

import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]

from engine.scripts.endless import go

import evo

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={sys.argv[2]}", "chaos", str(folder)], check=True, timeout=20)
    try:
        go(folder / "run")
    except evo.RunError as error:
        print(f"RunError: {error}")
    subprocess.run(["mount", "-o", "remount,size=100m", str(folder)], check=True, timeout=20)
    run = go(folder / "run")
    run.export("canonical", folder.with_name("exported"))
    print(run.state)
