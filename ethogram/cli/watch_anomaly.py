"""The options of a watch for the anomaly models beside baselines, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import Size
from ethogram.cli.screen import count
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from detector.options import AnomalyStatus, ModelStatus

__all__ = ["AnomalyScreen", "anomaly_bytes", "anomaly_options", "anomaly_summary"]

_DEFAULT_MEMORY = "1GiB"


def anomaly_options(command: Any) -> Any:
    """Add the options about models."""
    for option in reversed(
        (
            click.option(
                "--anomaly/--no-anomaly",
                "is_anomaly",
                default=True,
                show_default=True,
                help="Ask the models beside baselines, in a process of their own.",
            ),
            click.option(
                "--anomaly-memory",
                metavar="SIZE",
                type=Size(least="256MiB"),
                help="How much memory that process may map; it is started again where it needs "
                f"more.  [default: {_DEFAULT_MEMORY}]",
            ),
        )
    ):
        command = option(command)
    return command


def anomaly_bytes(values: dict[str, Any]) -> int:
    """Return how much memory models may take, 0 where none is to be asked."""
    given: int | None = values["anomaly_memory"]
    if values["is_anomaly"]:
        return given if given is not None else 1 << 30
    if given is not None:
        raise UsageError("`--anomaly-memory` is of no use with `--no-anomaly`", hint="name one")
    return 0


class AnomalyScreen:
    """Says what changes: models that tell nothing, and a process that had to be started again."""

    def __init__(self) -> None:
        self._said: set[ModelStatus] = set()
        self._restarts = self._dropped = 0

    def take(self, status: AnomalyStatus | None) -> Iterator[str]:
        """Yield in lines how *status* differs from the one before."""
        if status is None:
            return
        for model in status.models:
            if model.state in {"insufficient", "refused"} and model not in self._said:
                self._said.add(model)
                warning = "warning: " if model.state == "refused" else ""
                yield (f"{warning}the model of `{model.baseline}` is not asked: {model.reason}")
        if status.restarts > self._restarts:
            yield (
                f"warning: models are not asked for a while: {status.trouble}; it is started again"
            )
        if status.dropped > self._dropped and status.restarts == self._restarts:
            more = status.dropped - self._dropped
            yield (f"warning: {count(more, 'window')} dropped before a model was asked")
        self._restarts, self._dropped = status.restarts, status.dropped


def anomaly_summary(status: AnomalyStatus | None) -> Iterator[str]:
    """Yield what came of models at the end, where there was one to ask."""
    if status is None or not any(one.state != "insufficient" for one in status.models):
        return
    extras = [f"{getattr(status, name):,} {name}" for name in ("withheld", "dropped")
              if getattr(status, name)]  # fmt: skip
    restarts = [f"{count(status.restarts, 'restart')}"] if status.restarts else []
    words = "; ".join([f"{count(status.scored, 'window')} scored", *extras, *restarts])
    yield f"models: {words}"
