"""Holds the run in the given directory until its input ends: ``holder.py DIR``."""

import sys
from pathlib import Path

from evo.engine.rundir import RunDir

if __name__ == "__main__":
    with RunDir(Path(sys.argv[1]), create=False):
        print("held", flush=True)
        sys.stdin.read()
