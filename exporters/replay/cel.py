"""Evaluates CEL as an API server does, by Google's engine: an optional part of the installation.

Kubernetes' own libraries (quantities, URLs, addresses ...) are not in it: an expression that uses
them does not compile here, and nothing is said of it then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from ethogram.errors import PreflightError

__all__ = ["FailedError", "UnknownError", "evaluate", "members", "variables_in"]

_ROOTS = ("object", "oldObject", "variables", "request", "namespaceObject", "params", "authorizer")
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_MEMBER = re.compile(r"\.\s*\??\s*([A-Za-z_]\w*)(?!\w|\s*\()")
_INDEX = re.compile(r"(\w+)\s*\[\s*\??\s*['\"]([^'\"\\]*)['\"]\s*\]")
_VARIABLE = re.compile(r"\bvariables\s*\.\s*([A-Za-z_]\w*)")


class UnknownError(Exception):
    """The expression does not compile here: it is broken, or uses what this engine has not."""


class FailedError(Exception):
    """The expression gave no value for this object."""


def evaluate(expression: str, data: Mapping[str, Any]) -> Any:
    """Return the value of *expression* for *data*: `UnknownError` or `FailedError` without one.

    Raises `PreflightError` where no engine is installed.
    """
    value = _compiled(expression).eval(data=dict.fromkeys(_ROOTS) | dict(data))
    if value.type() == _engine().Type.ERROR:
        raise FailedError(str(value.value()))
    return value.plain_value()


def members(expression: str) -> Iterator[str]:
    """Yield the fields that *expression* asks for, of whatever object, in no order."""
    # Labels are known all together, or not at all.
    yield from (name for whose, name in _INDEX.findall(expression) if whose != "labels")
    yield from _MEMBER.findall(_LITERAL.sub("''", expression))


def variables_in(expression: str) -> set[str]:
    """Return the variables of the policy that *expression* uses itself."""
    return set(_VARIABLE.findall(_LITERAL.sub("''", expression)))


@cache
def _engine() -> Any:
    try:
        from cel_expr_python import cel  # noqa: PLC0415  50 MB, and optional
    except ImportError as error:
        raise PreflightError(
            "replaying admission policies takes a CEL engine, and none is installed",
            hint="`pip install 'ethogram[verify]'` brings one, or leave those policies out",
        ) from error
    return cel


@cache
def _environment() -> Any:
    cel = _engine()
    from cel_expr_python.ext import ext_optional, ext_strings  # noqa: PLC0415  see above

    return cel.NewEnv(
        variables=dict.fromkeys(_ROOTS, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
    )


@cache
def _compiled(expression: str) -> Any:
    try:
        return _environment().compile(expression)
    except RuntimeError as error:
        raise UnknownError(str(error).splitlines()[0]) from error
