"""What a sandbox on this machine contains: tried, not guessed."""

from __future__ import annotations

from collections.abc import Iterator

from evo.doctor.finding import Finding, Place, no, ok, warn

__all__ = ["sandbox"]


def sandbox(place: Place) -> Iterator[Finding]:
    """A line for what is contained, and one for each thing that is not."""
    from evo.errors import WorkerError
    from workers.sandbox.abilities import abilities

    try:
        found = list(abilities())
    except WorkerError as error:
        yield no("sandbox", str(error), "search without --sandbox, or on another machine")
        return
    contained = [one.name for one in found if one.contained]
    if contained:
        yield ok("sandbox", f"contains {', '.join(contained)}")
    for one in found:
        if not one.contained:
            yield warn(f"sandbox {one.name}", f"{one.what}: not contained ({one.by})", one.remedy)
