"""`evo list`: the names that a run file can use."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["list_"]


def list_(
    kind: Annotated[str, typer.Argument(help="problems, operators, algorithms or archives.")],
) -> None:
    """List the names that a run file can use, with their parameters."""
    import inspect

    from evo.registry import available

    entries = available(kind)
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.name:{width}}  {entry.summary}")
        init = getattr(entry.cls, "__init__", object.__init__)
        if entry.cls is not None and init is not object.__init__:
            parameters = list(inspect.signature(init).parameters.values())[1:]
            shown = [
                parameter.replace(annotation=parameter.empty, kind=parameter.KEYWORD_ONLY) for parameter in parameters
            ]
            print(f"{'':{width}}  {', '.join(map(str, shown))}")
    print("\nIn a run file: NAME, or {type: NAME, PARAMETER: VALUE}. Your own: module:Class.")
