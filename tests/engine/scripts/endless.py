"""Starts a run in the given directory, or takes it up there: ``endless.py DIR``. Meant to be killed."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]

import evo
from engine.worlds import Masks
from evo.store.reader import FILE_NAME

__all__ = ["go"]


def go(folder: Path) -> evo.Run:
    """The run, from its beginning or from where it is."""
    if (folder / FILE_NAME).exists():
        try:
            return evo.resume(folder, snapshot_seconds=0.05)
        except evo.RunError as error:
            if "start the run again" not in str(error):
                raise
    algorithm = evo.MapElites((6, 6), batch=20)
    options = {"message_seconds": 1e-4, "snapshot_seconds": 0.05}
    return evo.search(Masks(), algorithm, evaluations=400, seed=21, run_dir=folder, **options)


if __name__ == "__main__":
    print("ready", flush=True)
    go(Path(sys.argv[1]))
