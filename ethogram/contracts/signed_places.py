"""Whether what stands in a place is what was signed: nothing altered, added or taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from ethogram.contracts.baseline_places import (
    LIST_NAME,
    LIST_SUFFIX,
    BaselinePlace,
    named_model,
    parsed,
)
from ethogram.contracts.signed_list import Checked, check
from ethogram.contracts.signing_keys import PublicKey
from ethogram.errors import BaselineError

__all__ = ["digests_to_sign", "own_list_name", "verified"]


def own_list_name(place: BaselinePlace) -> str:
    """Return what the signed list of *place* is called when it is written."""
    return LIST_NAME if place.is_directory else f"{next(iter(place.files))}{LIST_SUFFIX}"


def verified(place: BaselinePlace, keys: Sequence[PublicKey], *, below: bool) -> Checked:
    """Return the signed list of *place*, which holds for all that was read of it.

    *below*: directories in it were read as well. `BaselineError` where there is no list, none of
    *keys* signed it, or the place holds something else than it says.
    """
    source = str(place.file(place.list_name))
    if place.signed_list is None:
        raise BaselineError(
            f"`{place.place}` is not signed: there is no `{source}`",
            hint="`ethogram sign` writes it; without `--verify-key` nothing has to be signed",
        )
    checked = check(place.signed_list, keys, source=source)
    listed = checked.listed
    for name, content in place.files.items():
        if name not in listed.files:
            raise BaselineError(f"`{place.file(name)}` is not in the signed list `{source}`")
        _require_same(place, name, sha256(content).hexdigest(), listed.files, source)
    if place.is_directory:
        expected = {name for name in listed.baselines if below or "/" not in name}
        if missing := sorted(expected - place.files.keys()):
            raise BaselineError(
                f"`{place.file(missing[0])}` is missing: the signed list `{source}` has it"
            )
    if place.is_directory or place.list_name != LIST_NAME:
        for name in sorted(listed.models):
            if below or "/" not in name:
                _require_same(place, name, _model_digest(place, name), listed.files, source)
    return checked


def digests_to_sign(place: BaselinePlace) -> dict[str, str]:
    """Return the digests of all baselines of *place*, and of the models that they name.

    `BaselineError` where one is malformed, or its model is missing or another.
    """
    found = {}
    for name, content in sorted(place.files.items()):
        found[name] = sha256(content).hexdigest()
        model = parsed(place, name).model
        if model is None:
            continue
        beside = f"{name.rpartition('/')[0]}/{model.file}".lstrip("/")
        found[beside] = _model_digest(place, beside)
        _require_same(place, beside, found[beside], {beside: model.sha256}, str(place.file(name)))
    return found


def _require_same(
    place: BaselinePlace, name: str, digest: str, listed: Mapping[str, str], source: str
) -> None:
    if digest != listed[name]:
        raise BaselineError(
            f"`{place.file(name)}` is altered: `{source}` has another digest",
            hint="restore it, or review and sign it again",
        )


def _model_digest(place: BaselinePlace, name: str) -> str:
    digest, is_there = sha256(), False
    for part in named_model(place, name):
        digest.update(part)
        is_there = True
    if not is_there:
        raise BaselineError(
            f"`{place.file(name)}` is missing: a baseline names it as its model",
            hint="put it back, or learn the recordings again",
        )
    return digest.hexdigest()
