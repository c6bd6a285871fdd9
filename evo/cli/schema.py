"""`evo schema`: the JSON schema of a run file, for editors."""

from __future__ import annotations

__all__ = ["schema"]


def schema() -> None:
    """Print the JSON schema of a run file."""
    import json

    from evo.config import schema as document

    print(json.dumps(document(), indent=2))
