"""The sections of a run file: budget, stop, order, workers, log, initial. Each has a default for every key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["Budget", "Initial", "Int", "Log", "Order", "Section", "Spec", "Stop", "Workers"]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return value


def _spec(value: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value.get("type"), str):
        raise ValueError("Input should be a name, or a mapping with 'type' and the parameters")
    if not isinstance(value, str | dict):
        raise ValueError("Input should be a name, or a mapping with 'type' and the parameters")
    return value


Int = Annotated[int, BeforeValidator(_no_bool)]
Float = Annotated[float, BeforeValidator(_no_bool)]
Count = Annotated[Int, Field(ge=1)]
Positive = Annotated[Float, Field(gt=0)]
Amount = Annotated[Float, Field(ge=0)]
Spec = Annotated[str | dict[str, Any], BeforeValidator(_spec)]
"""A plug-in: its name, or ``{"type": name, **parameters}``."""


class Section(BaseModel):
    """Some keys; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_all_defaults(cls, data: Any) -> Any:
        return {} if data is None else data  # a section whose lines are all commented out


class Budget(Section):
    """How much the search may spend; null means no limit. An algorithm that ends by itself needs none."""

    evaluations: Count | None = Field(default=None, description="distinct evaluations")
    seconds: Positive | None = Field(
        default=None, description="wall-clock seconds, summed over all sessions of the run"
    )


class Stop(Section):
    """When to stop before the budget is spent."""

    target: Float | None = Field(default=None, description="stop when the first objective is at least as good")
    plateau: Count | None = Field(
        default=None, description="stop after so many evaluations without a better best or elite"
    )
    failures: Count = Field(default=100, description="stop when the first so many evaluations all failed")


class Order(Section):
    """When the algorithm is asked and told."""

    type: Literal["strict", "arrival"] = Field(
        default="strict", description="strict: the same run for any number of workers"
    )
    block: Count | None = Field(
        default=None, description="strict: requests asked for at a time; null: the algorithm's own"
    )
    lag: Count | None = Field(default=None, description="strict: blocks in flight; null: 2")

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, data: Any) -> Any:
        return {"type": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _arrival_has_no_numbers(self) -> Order:
        if self.type == "arrival" and (self.block is not None or self.lag is not None):
            raise ValueError("block and lag belong to type strict; leave them out with type arrival")
        return self


class Workers(Section):
    """Where evaluation happens."""

    backend: Literal["inline", "ray"] | None = Field(
        default=None, description="inline: in this process; ray: Ray actors; null: ray where count or address is given"
    )
    count: Count | None = Field(default=None, description="ray: number of workers; null: one for each core")
    address: str | None = Field(default=None, description="of a running Ray cluster; null starts Ray on this machine")
    cpus: Amount | None = Field(default=None, description="of one worker; null: what the problem's evaluator asks for")
    gpus: Amount | None = Field(default=None, description="of one worker; null: what the evaluator asks for")
    memory: Annotated[Int, Field(ge=0)] | None = Field(default=None, description="bytes of one worker; likewise")
    custom: dict[str, Amount] | None = Field(default=None, description="Ray's custom resources of one worker; likewise")
    message_seconds: Positive = Field(default=0.1, description="work aimed at in one message to a worker")
    window: Count = Field(default=2, description="messages a worker holds at once")


class Log(Section):
    """What the run file keeps beyond the log itself."""

    snapshot_seconds: Positive = Field(
        default=60.0, description="seconds between snapshots, which make resuming faster"
    )


class Initial(Section):
    """What the search starts from, instead of the problem's own initial genomes."""

    genomes: list[Any] | None = Field(default=None, description="genomes as JSON-like data")
    run: str | None = Field(default=None, description="a run directory, whose elites are taken")

    @model_validator(mode="after")
    def _one_source(self) -> Initial:
        if self.genomes is not None and self.run is not None:
            raise ValueError("give genomes or run, not both")
        return self
