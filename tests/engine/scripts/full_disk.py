"""A run whose files may not grow beyond a few bytes: ``full_disk.py DIR BYTES``. Prints the error it ends with."""

import resource
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]

import evo
from engine.scripts.endless import go

if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        go(Path(sys.argv[1]))
    except evo.RunError as error:
        print(f"RunError: {error}")
