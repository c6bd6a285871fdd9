"""The run file as typed data: YAML text, overrides on top, every key and value checked before anything starts."""

from evo.config.run_config import VERSION, RunConfig, load_config, parse_config, schema

__all__ = ["VERSION", "RunConfig", "load_config", "parse_config", "schema"]
