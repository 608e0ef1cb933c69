"""Maps of environments: how staging is called in production. Import from here."""

from ethogram.contracts.environment_apply import apply_environment, left_behind, unused
from ethogram.contracts.environment_file import (
    ENVIRONMENT_SCHEMA,
    Entry,
    Environment,
    load_environment,
    parse_environment,
)

__all__ = [
    "ENVIRONMENT_SCHEMA",
    "Entry",
    "Environment",
    "apply_environment",
    "left_behind",
    "load_environment",
    "parse_environment",
    "unused",
]
