"""Keeps a store in step with the API server: lists, watches, and begins again where that ends."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from ethogram.contracts.escape import escape
from profiler.cluster.client import ClusterError, ExpiredError, ReadOnlyClient, RefusedError
from profiler.cluster.resources import Resource
from profiler.cluster.store import ClusterStore

__all__ = ["Reflector", "ResourceState", "pause_s"]

_FIRST_S, _MOST_S, _REFUSED_S = 0.5, 30.0, 60.0
_JOIN_S = 2.0
_WORDS = 200


@dataclass(frozen=True, slots=True)
class ResourceState:
    """How one resource stands: what is wrong, if anything, and what was not understood of it.

    *errors* counts how often it failed in a way that nobody thought of.
    """

    is_listed: bool = False
    trouble: str | None = None
    malformed: int = 0
    lists: int = 0
    errors: int = 0


class Reflector(threading.Thread):
    """Tells *store* what there is of *resource*, in a thread, until *stop* is set.

    Where the server does not answer it asks again, ever more seldom, up to twice a minute, and at a
    random moment: all nodes of a cluster do at the same time otherwise. What the store has stays.
    *every_s*: the server tells of no changes, and is asked for the whole list this often.
    """

    def __init__(
        self,
        client: ReadOnlyClient,
        resource: Resource,
        store: ClusterStore,
        *,
        query: Mapping[str, str],
        now_ns: Callable[[], int],
        stop: threading.Event,
        changed: Callable[[], None],
        every_s: float | None = None,
    ) -> None:
        super().__init__(name=f"cluster {resource.kind}", daemon=True)
        self._client = client
        self._resource = resource
        self._store = store
        self._query = query
        self._now_ns = now_ns
        self._stop_event = stop
        self._changed = changed
        self._every_s = every_s
        self._told: str | None = None
        self.state = ResourceState()

    def run(self) -> None:
        """Follow the resource; nothing that the server answers ends the thread."""
        version: str | None = None
        failures = surprises = 0
        while not self._stop_event.is_set():
            try:
                if version is None:
                    version = self._list()
                    failures = 0
                version = self._next(version)
                failures = surprises = 0
            except ExpiredError:
                version = None
                self._stop_event.wait(pause_s(0))
            except ClusterError as error:
                if self._stop_event.is_set():
                    return
                self._set(trouble=str(error))
                is_refused = isinstance(error, RefusedError)
                pause = _REFUSED_S if is_refused and failures > 3 else pause_s(failures)
                failures += 1
                self._stop_event.wait(max(pause, error.after_s))
            except (
                Exception
            ) as error:  # a thread that ended would leave names as they were for good
                version = None
                self._failed(error)
                self._stop_event.wait(pause_s(surprises))
                surprises += 1

    def _failed(self, error: Exception) -> None:
        why = escape(f"{type(error).__name__}: {error}"[:_WORDS])
        with suppress(Exception):  # what is told of it may be what failed
            self._set(trouble=why, errors=self.state.errors + 1)

    def end(self) -> None:
        """Wait for the thread a moment, after what it was to stop by was set."""
        if self.ident is not None:
            self.join(_JOIN_S)

    def news(self, whom: str) -> list[str]:
        """Return in a line what went wrong, or is well again, since the last time."""
        before, self._told = self._told, self.state.trouble
        if self._told == before:
            return []
        kind = self._resource.kind
        if self._told is None:
            return [f"{whom} tells of {kind} objects again"]
        return [f"{whom} does not tell of {kind} objects: {self._told}"]

    def _next(self, version: str) -> str | None:
        if self._every_s is None:
            return self._watch(version)
        self._stop_event.wait(self._every_s)
        return None

    def _list(self) -> str:
        names: set[tuple[str, str]] = set()
        version = ""
        for part in self._client.list(self._resource.path, self._query):
            kept = self.understood(part.get("items") or [])
            names |= self._store.take_part(self._resource.kind, kept, self._now_ns())
            version = _version(part)
        self._store.retain(self._resource.kind, names, self._now_ns())
        self._set(is_listed=True, trouble=None, lists=self.state.lists + 1)
        return version

    def understood(self, items: Iterable[Any]) -> list[BaseModel]:
        """Return the objects of *items*; what is wrong with the others is in `state`."""
        models = (self._model(item) for item in items)
        return [model for model in models if model is not None]

    def _watch(self, version: str) -> str:
        for kind, item in self._client.watch(self._resource.path, version, self._query):
            version = _version(item) or version
            if self.state.trouble is not None:
                self._set(trouble=None)
            if kind == "BOOKMARK" or (model := self._model(item)) is None:
                continue
            if kind == "DELETED":
                self._store.delete(self._resource.kind, model, self._now_ns())
            elif kind in ("ADDED", "MODIFIED"):
                self._store.put(self._resource.kind, model, self._now_ns())
        return version

    def _model(self, item: Any) -> BaseModel | None:
        try:
            return self._resource.model.model_validate(item)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = escape(".".join(map(str, first["loc"])))[:256]  # names of labels are in it
            self._set(
                malformed=self.state.malformed + 1,
                trouble=f"{self._resource.kind}{_named(item)}: `{where}`: {first['msg'].lower()}",
            )
            return None

    def _set(self, **changes: Any) -> None:
        values = {name: getattr(self.state, name) for name in ResourceState.__slots__}
        self.state = ResourceState(**{**values, **changes})
        self._changed()


def pause_s(failures: int) -> float:
    """Return how long to wait after so many *failures* before: a random part of what doubles."""
    most = min(_MOST_S, _FIRST_S * 2 ** min(failures, 10))
    return random.uniform(most / 2, most)  # noqa: S311  nothing secret


def _version(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def _named(item: Any) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f" `{escape(str(name)[:128])}`" if name else ""
