"""The rows of a summary that say how much was watched, as a baseline states it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from ethogram.contracts.baseline import (
    DIMENSIONS,
    PHASES,
    Dimension,
    Input,
    Observation,
    Subject,
)
from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.escape import escape
from ethogram.contracts.keys import parse_workload_key
from ethogram.contracts.reach import not_looked_at
from ethogram.errors import RecordingError
from learner.completeness import completeness, objects, truths
from learner.dimensions import canonical, parse_key

__all__ = ["Observed", "observe"]

_WINDOWS, _PHASE = canonical(["windows"]), canonical(["phase"])
_CAPABILITY_BITS = 64


@dataclass(frozen=True, slots=True)
class Observed:
    """Who was watched, in which recordings, and how well."""

    subject: Subject
    inputs: tuple[Input, ...]
    observation: Observation


def observe(rows: pd.DataFrame, shared: pd.DataFrame) -> Observed:
    """Return what *rows* of one workload, and the *shared* ones of its recordings, say of it.

    A loss of which nobody knows whose it was may have been this workload's, so it counts.
    """
    try:
        return Observed(
            subject=_subject(rows),
            inputs=_inputs(shared),
            observation=_observation(rows, shared),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordingError(
            f"the summary has a malformed row about `{escape(str(rows.workload_key.iloc[0]))}`",
            hint="summarize the recordings again with this version",
        ) from error


def _subject(rows: pd.DataFrame) -> Subject:
    """Return the subject: clusters are named where there is one, the image is the newest."""
    parts = [parse_workload_key(key) for key in sorted(rows.workload_key.unique())]
    clusters = {part.cluster for part in parts}
    subjects = objects(rows, "subject")
    newest = (subjects or [{}])[-1]
    # A recording without inventory says nothing about the selector.
    selectors = [fields["selector"] for fields in subjects if fields.get("selector")]
    return Subject(
        cluster=_text(clusters.pop()) if len(clusters) == 1 else None,
        namespace=_text(parts[0].namespace),
        kind=escape(parts[0].kind),
        name=escape(parts[0].name),
        container=_text(parts[0].container),
        container_kind=newest.get("container_kind", parts[-1].container_kind),
        image=_text(newest.get("image")),
        image_digest=_text(newest.get("image_digest", parts[-1].image_digest)),
        selector=_labels(selectors[-1]) if selectors else {},
    )


def _labels(labels: dict[str, str]) -> dict[str, str]:
    return {escape(key): escape(value) for key, value in dict(labels).items()}


def _text(text: str | None) -> str | None:
    return escape(text) if text else None


def _inputs(shared: pd.DataFrame) -> tuple[Input, ...]:
    rows = shared[shared.dimension == "input"].drop_duplicates(["recording_id", "key"])
    pairs = zip(rows.recording_id, rows.key, strict=True)
    return tuple(
        Input(recording_id=recording_id, sha256=json.loads(key)["sha256"])
        for recording_id, key in sorted(pairs)
    )


def _observation(rows: pd.DataFrame, shared: pd.DataFrame) -> Observation:
    watched = rows[rows.dimension == "observation"]
    totals = watched[watched.key == _WINDOWS]
    by_phase = watched[watched.key == _PHASE].groupby("phase").windows.sum()
    losses = pd.concat([part[part.dimension == "loss"] for part in (rows, shared)])
    kinds = [str(parse_key(key, 2)[0]) for key in losses.key]
    by_kind = losses.assign(kind=kinds).groupby("kind").calls.sum()
    digests = {row["image_digest"] for row in objects(rows, "subject") if row.get("image_digest")}
    return Observation(
        windows=int(totals.windows.sum()),
        instances=int(rows.instance_key[rows.instance_key != ""].nunique()),
        seconds=round(int(totals.calls.sum()) / 1e9, 3),
        phases={phase: int(by_phase[phase]) for phase in PHASES if phase in by_phase.index},
        losses={escape(str(kind)): int(count) for kind, count in sorted(by_kind.items())},
        image_digests=tuple(sorted(escape(digest) for digest in digests)),
        file_changes=_told_changes(shared),
        not_observed=_not_observed(shared),
        **_privileges(objects(rows, "instance")),
        **completeness(rows, shared, is_lossy=bool(len(losses))),
    )


def _told_changes(shared: pd.DataFrame) -> Literal[True] | None:
    """Return whether every recording told what was done to files without opening them."""
    inputs = objects(shared, "input")
    return True if inputs and all(fields.get("file_changes") for fields in inputs) else None


def _not_observed(shared: pd.DataFrame) -> tuple[Dimension, ...] | None:
    """Return the dimensions that no recording looked at."""
    inputs = objects(shared, "input")
    missed = [not_looked_at(str(fields["loader"]), str(fields["tier"])) for fields in inputs]
    return (
        tuple(name for name in DIMENSIONS if missed and all(name in one for one in missed)) or None
    )


def _privileges(instances: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is known of the privileges of *instances*, null where one of them may differ.

    Whether any was gained is known where at least one instance was seen from its start.
    """
    if not instances:
        return {}
    shared = {name for one in instances for name in one.get("host_namespaces") or ()}
    limited = truths(instances, "no_new_privs")
    gained = truths(instances, "privileges_gained")
    bounding = [one.get("caps_bounding") for one in instances]
    return {
        "host_namespaces": tuple(sorted(escape(name) for name in shared)),
        "no_new_privs": False if False in limited else None if None in limited else True,
        "privileges_gained": True if True in gained else False if False in gained else None,
        "bounding": _capabilities(bounding),
        "runs_as": _users(instances),
        "host_paths": _given(instances, "host_paths", str),
        "host_ports": _given(instances, "host_ports", int),
        "runtimes": _runtimes(instances),
    }


def _given(instances: list[dict[str, Any]], name: str, kind: type) -> tuple[Any, ...] | None:
    """Return what any of *instances* was given, None where of one nobody knows."""
    found = [one.get(name) for one in instances]
    if None in found:
        return None
    values = {each for given in found for each in given or ()}
    if not all(type(each) is kind for each in values):
        raise TypeError(name)
    return tuple(sorted(values))


def _runtimes(instances: list[dict[str, Any]]) -> tuple[str, ...] | None:
    """Return the container runtimes in *instances*, None where that of one is not known.

    Nor is it without its version: what it calls under a filter depends on that.
    """
    found = [(one.get("runtime"), one.get("runtime_version")) for one in instances]
    if not all(word is None or isinstance(word, str) for words in found for word in words):
        raise TypeError("runtime")
    if not all(name and version for name, version in found):
        return None
    return tuple(sorted({escape(f"{name} {version}") for name, version in found}))


def _users(instances: list[dict[str, Any]]) -> tuple[int, ...] | None:
    """Return the user ids in *instances*, None where those of one are not known.

    Nor are they where none was seen from its start: it may have given up a first one.
    """
    found = [one.get("runs_as") for one in instances]
    if None in found or not any(
        one.get("observed") == "live" and users for one, users in zip(instances, found, strict=True)
    ):
        return None
    return tuple(sorted({int(user) for users in found for user in users or ()}))


def _capabilities(sets: list[int | None]) -> tuple[str, ...] | None:
    """Return the names of the capabilities in any of *sets*, None where one is not known."""
    known = [bits for bits in sets if bits is not None]
    if len(known) < len(sets):
        return None
    return tuple(
        capability_name(number)
        for number in range(_CAPABILITY_BITS)
        if any(bits >> number & 1 for bits in known)
    )
