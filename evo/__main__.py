"""`python -m evo`: the command `evo`, where it is not installed as a script."""

from __future__ import annotations

import sys


def _run() -> None:
    try:
        from evo.cli import main
    except ModuleNotFoundError as error:
        needed = "pip install numpy pydantic typer rich cloudpickle PyYAML"
        sys.exit(f"evo: {sys.executable} has no module {error.name!r}; a machine that searches needs: {needed}")
    main()


if __name__ == "__main__":
    _run()
