"""YAML as people write it: duplicate keys refused, ``1e-3`` a number, errors with file, line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from evo.errors import ConfigError

__all__ = ["parse", "read"]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with the two surprises mended that hurt in run files."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different; what ``<<`` merges in may be written over."""
        seen: dict[Any, yaml.Mark] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                first = seen[key_node.value].line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} is there twice, first in line {first}", key_node.start_mark
                )
            seen[key_node.value] = key_node.start_mark
        return super().construct_mapping(node, deep)


# PyYAML follows YAML 1.1, where 1e-3 and 1e6 are text for want of a dot or of a sign.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read(path: Path) -> Any:
    """The document in a file.

    Raises:
        ConfigError: there is no such file (names the nearest one beside it), or it is not YAML.
    """
    from evo.registry.modules import nearest

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [str(other) for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError(f"{path}: there is no such file{nearest(str(path), beside)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text; expected a YAML file") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Any:
    """The one document in `text`.

    Raises:
        ConfigError: names `source`, line and column.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise ConfigError(f"{place}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
