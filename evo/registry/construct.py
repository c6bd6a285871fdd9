"""Specification -> object: every parameter checked against the annotations of the constructor it goes to.

Kept apart from `evo.registry` because pydantic is loaded here, and `import evo` must stay light.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from evo.errors import ConfigError, EvoError
from evo.redact import Filled, asks_for_secret, filled, redact
from evo.registry.modules import nearest
from evo.registry.names import KINDS, base_of, resolve
from evo.spec import Configured

__all__ = ["construct", "expected", "readable", "shorten"]

_SEQUENCES = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def construct(kind: str | None, spec: Any, where: str) -> Any:
    """See `evo.registry.build`."""
    if isinstance(spec, Configured):
        return spec
    name, given, inside = _split(kind, spec, where)
    cls = resolve(kind, name, where)
    parameters = _parameters(cls)
    if set(given) == {"params"} and "params" not in parameters and isinstance(given["params"], Mapping):
        given, inside = given["params"], f"{where}.params"
    for key in given:
        if key not in parameters:
            raise ConfigError(f"{inside}.{key}: unknown key{nearest(str(key), parameters)}; {_takes(name, parameters)}")
    hints = _hints(cls)
    values = {key: _converted(hints[key], value, f"{inside}.{key}") for key, value in given.items()}
    for key, parameter in parameters.items():
        if key not in given and parameter.default is parameter.empty and parameter.kind not in _VARIADIC:
            raise ConfigError(f"{inside}.{key}: missing, {name} needs it ({readable(hints[key])})")
    return _call(cls, parameters, values, where)


def _converted(hint: Any, value: Any, where: str) -> Any:
    """`convert`, but for a text ``${NAME}``, which the environment fills in."""
    value = filled(value, where)
    if isinstance(value, str) and not isinstance(value, Filled) and asks_for_secret(where.rpartition(".")[2]):
        raise ConfigError(
            f"{where}: a secret in the clear would be kept in the run; put it into an environment variable and write "
            "${NAME} here"
        )
    found = convert(hint, value, where)
    if not isinstance(value, Filled):
        return found
    if not isinstance(found, str):
        raise ConfigError(
            f"{where}: {value.reference} stands for text, expected {readable(hint)}; write the value itself"
        )
    return value


def convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotation `hint` wants it, with the plug-ins in it built.

    Raises:
        ConfigError: it does not fit.
    """
    built = _build_nested(hint, value, where)
    if built is None and type(None) in get_args(hint):
        return None
    if _has_array(hint) and not isinstance(built, np.ndarray):
        return built  # what an array may be made of is numpy's to say, and the constructor's to check
    if isinstance(built, bool) and _is_number(hint):
        raise ConfigError(f"{where}: expected {readable(hint)}, got {shorten(value)}")
    adapter = _adapter(hint)
    if adapter is None:
        return built
    try:
        return adapter.validate_python(built)
    except ValidationError as error:
        raise ConfigError(expected(error, hint, value, where)) from None


def expected(error: ValidationError, hint: Any, value: Any, where: str) -> str:
    """One line: where it is wrong, what was expected, what came."""
    problems = error.errors(include_url=False)
    if len(problems) > 1 or problems[0]["type"] == "is_instance_of":
        return f"{where}: expected {readable(hint)}, got {shorten(value)}"
    (problem,) = problems
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    unquoted = problem["type"] == "string_type" and isinstance(problem["input"], int | float)
    return f"{where}{path}: {said}, got {shorten(problem['input'])}{'; write it in quotes' if unquoted else ''}"


def readable(hint: Any) -> str:
    """An annotation as people write it: ``float or list of float``."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is inspect.Parameter.empty:
        return "any value"
    if hint is None or hint is type(None):
        return "null"
    if origin is Annotated:
        return readable(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(readable(arg) for arg in args))
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return f"list of {readable(args[0])}"
    if origin is tuple:
        return f"list of {len(args)} ({', '.join(map(readable, args))})"
    if origin in _SEQUENCES and args:
        return f"list of {readable(args[0])}"
    if origin in _MAPPINGS and args:
        return f"mapping of names to {readable(args[1])}"
    if isinstance(hint, type) and issubclass(hint, Configured):
        return f"{hint.__name__} (a name, or a mapping with 'type')"
    if isinstance(hint, type) and origin is None:
        return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}.get(
            hint.__name__, hint.__name__
        )
    return str(hint).replace("typing.", "").replace("collections.abc.", "")


def shorten(value: Any) -> str:
    """A value for an error message, cut when it is long."""
    text = redact(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _split(kind: str | None, spec: Any, where: str) -> tuple[str, Mapping[str, Any], str]:
    """(name, parameters, key path of the parameters)."""
    if isinstance(spec, str):
        return spec, {}, where
    if isinstance(spec, Mapping):
        name = spec.get("type")
        if isinstance(name, str):
            return name, {key: value for key, value in spec.items() if key != "type"}, where
        if name is not None:
            raise ConfigError(f"{where}.type: expected a name, got {shorten(name)}")
        for key in spec:
            if near := nearest(str(key), ["type"]):
                raise ConfigError(f"{where}.{key}: unknown key{near}")
        raise ConfigError(f"{where}: key 'type' is missing; expected a name, or a mapping with 'type'")
    wanted = f"the name of one of evo's {kind}" if kind else "a name"
    raise ConfigError(f"{where}: expected {wanted}, or a mapping with 'type', got {shorten(spec)}")


def _init(cls: Any) -> Any:
    return cls.__init__


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    init = _init(cls)
    return {} if init is object.__init__ else dict(list(inspect.signature(init).parameters.items())[1:])


def _takes(name: str, parameters: Mapping[str, Any]) -> str:
    return f"expected one of {', '.join(parameters)}" if parameters else f"{name} takes no parameters"


def _call(cls: type, parameters: Mapping[str, inspect.Parameter], values: dict[str, Any], where: str) -> Any:
    """Construct, with ``*args`` and ``**kwargs`` spread from under their names."""
    bound = inspect.BoundArguments(inspect.Signature(list(parameters.values())), values)
    bound.arguments = {key: values[key] for key in parameters if key in values}
    try:
        return cls(*bound.args, **bound.kwargs)
    except EvoError as error:
        raise ConfigError(f"{where}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {cls.__name__} refused its parameters: {error}") from error


def _hints(cls: type) -> Mapping[str, Any]:
    """Parameter -> annotation; Any where it is missing or names something unknown here."""
    names = {base_of(kind).__name__: base_of(kind) for kind in KINDS}  # often imported under TYPE_CHECKING only
    common = {**vars(typing), **names, "Sequence": Sequence, "Mapping": Mapping, "np": np}
    hints: dict[str, Any] = {}
    for key, parameter in _parameters(cls).items():
        hint: Any = Any if parameter.annotation is parameter.empty else parameter.annotation
        if isinstance(hint, str):
            holder = type("holder", (), {"__annotations__": {key: hint}})
            scope = {**common, **getattr(_init(cls), "__globals__", {})}
            try:
                hint = typing.get_type_hints(holder, scope, scope, include_extras=True)[key]
            except NameError:
                hint = Any
        if parameter.kind is parameter.VAR_POSITIONAL:
            hint = tuple[hint, ...]
        elif parameter.kind is parameter.VAR_KEYWORD:
            hint = dict[str, hint]
        hints[key] = hint
    return hints


def _kind_of(hint: Any) -> str | None:
    """The kind of plug-in that an annotation asks for."""
    if isinstance(hint, type) and issubclass(hint, Configured):
        return next((kind for kind in KINDS if issubclass(hint, base_of(kind))), None)
    return None


def _build_nested(hint: Any, value: Any, where: str) -> Any:
    """`value` with every specification in it, where the annotation asks for a plug-in, replaced by its object."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _build_nested(args[0], value, where)
    kind = _kind_of(hint)
    if kind is not None and isinstance(value, str | Mapping):
        return construct(kind, value, where)
    if origin in (Union, types.UnionType):
        return _build_union(args, value, where)
    if isinstance(value, list | tuple):
        if origin is tuple and args and args[-1] is not Ellipsis and len(args) == len(value):
            return tuple(_build_nested(args[i], item, f"{where}[{i}]") for i, item in enumerate(value))
        item_hint = args[0] if args and (origin in _SEQUENCES or origin is tuple) else Any
        return [_build_nested(item_hint, item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if _written_by_spec_of(value):
            return construct(None, value, where)
        item_hint = args[1] if len(args) == 2 and origin in _MAPPINGS else Any
        return {key: _build_nested(item_hint, item, f"{where}.{key}") for key, item in value.items()}
    return value


def _build_union(args: Sequence[Any], value: Any, where: str) -> Any:
    """Build for the member that a value can only be meant for; text stays text where the union takes text."""
    if isinstance(value, str):
        fits = [] if str in args else [arg for arg in args if _kind_of(arg)]
    elif isinstance(value, list | tuple):
        fits = [arg for arg in args if get_origin(arg) in (*_SEQUENCES, tuple)]
    elif isinstance(value, Mapping):
        plug_ins = [arg for arg in args if _kind_of(arg)]
        fits = plug_ins if "type" in value and plug_ins else [arg for arg in args if get_origin(arg) in _MAPPINGS]
        fits = fits or plug_ins
    else:
        fits = []
    return _build_nested(fits[0] if fits else Any, value, where)


def _written_by_spec_of(value: Mapping[str, Any]) -> bool:
    return set(value) == {"type", "params"} and isinstance(value["type"], str) and ":" in value["type"]


def _is_number(hint: Any) -> bool:
    members = (hint, *get_args(hint))
    return bool not in members and Any not in members and (int in members or float in members)


def _has_array(hint: Any) -> bool:
    return hint is np.ndarray or get_origin(hint) is np.ndarray or any(_has_array(arg) for arg in get_args(hint))


@cache
def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """The validator of an annotation; None where pydantic has no notion of it."""
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:
        return None
    except PydanticUserError:  # a model or dataclass of its own, which brings its own configuration
        return TypeAdapter(hint)
