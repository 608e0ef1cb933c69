"""The option `--kubernetes`: where the cluster is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import click

__all__ = ["KubernetesChoice", "Where"]

_Kind = Literal["in-cluster", "kubeconfig", "kubelet"]


@dataclass(frozen=True, slots=True)
class Where:
    """What was given: a kind, and what it needs."""

    kind: _Kind
    file: Path | None = None
    context: str | None = None
    url: str | None = None


class KubernetesChoice(click.ParamType[Where]):
    """`in-cluster`, `kubeconfig[=FILE][#CONTEXT]` or `kubelet[=URL]`."""

    name = "where"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Where:
        """Return *value* taken apart."""
        del param, ctx
        if isinstance(value, Where):
            return value
        head, _, context = str(value).partition("#")
        kind, _, place = head.partition("=")
        if kind not in get_args(_Kind):
            self.fail("it is `in-cluster`, `kubeconfig[=FILE][#CONTEXT]` or `kubelet[=URL]`")
        if context and kind != "kubeconfig":
            self.fail("a `kubeconfig` alone has contexts")
        if kind == "in-cluster" and place:
            self.fail("`in-cluster` takes nothing: the kubelet says where the API server is")
        if kind == "kubelet" and place and not place.startswith("https://"):
            self.fail("the URL of a kubelet begins with `https://`")
        return Where(
            cast(_Kind, kind),
            file=Path(place) if kind == "kubeconfig" and place else None,
            context=context or None,
            url=place if kind == "kubelet" and place else None,
        )
