"""Which signed lists were taken, so that an older one is refused also after a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from ethogram.contracts.baseline_places import BaselinePlace, is_directory
from ethogram.contracts.baseline_values import Digest, Frozen, Text
from ethogram.contracts.durable import replace_file
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.remote import RecordingUrl
from ethogram.contracts.signed_list import LARGEST_SEQUENCE, Checked
from ethogram.contracts.signed_places import verified
from ethogram.contracts.signing_keys import PublicKey
from ethogram.errors import BaselineError, UsageError

__all__ = ["STATE_PATH", "SignedOnly"]

STATE_PATH = Path("/var/lib/ethogram/signed.json")
_LIMIT_BYTES = 4 << 20
_SCHEMA: Literal["ethogram.signed-state/1"] = "ethogram.signed-state/1"


class _Taken(Frozen):
    sequence: Annotated[int, Field(ge=1, le=LARGEST_SEQUENCE)]
    sha256: Digest


class _State(Frozen):
    schema_name: Literal["ethogram.signed-state/1"] = Field(_SCHEMA, alias="schema")
    places: dict[Text, _Taken] = Field(default_factory=dict)


class SignedOnly:
    """Refuses what none of *keys* signed, what was altered, and what is older than was taken.

    What was taken stands in the file *path*; `UsageError` where that cannot be read or written.
    """

    def __init__(self, keys: Sequence[PublicKey], path: Path) -> None:
        self._keys = tuple(keys)
        self._path = path
        self._taken = dict(self._read().places)

    def __call__(self, found: BaselinePlace) -> Callable[[], None]:
        """Return what remembers that *found* is taken; `BaselineError` where it must not be."""
        checked = verified(found, self._keys, below=is_directory(found.place))
        key = _key(found)
        self._require_not_older(found, checked, self._taken.get(key))
        return lambda: self._take(key, checked)

    def _require_not_older(
        self, found: BaselinePlace, checked: Checked, taken: _Taken | None
    ) -> None:
        sequence = checked.listed.sequence
        source = found.file(found.list_name)
        if taken is None or sequence > taken.sequence:
            return
        if sequence < taken.sequence:
            raise BaselineError(
                f"`{source}` is older than what was taken: version {sequence}, after "
                f"{taken.sequence}",
                hint="sign what is meant again: that makes a newer version of it",
            )
        if checked.sha256 != taken.sha256:
            raise BaselineError(
                f"`{source}` is another version {sequence} than the one that was taken",
                hint="sign it again: a version is never given twice",
            )

    def _take(self, key: str, checked: Checked) -> None:
        taken = _Taken(sequence=checked.listed.sequence, sha256=checked.sha256)
        if self._taken.get(key) == taken:
            return
        after = self._taken | {key: taken}
        document = _State(schema=_SCHEMA, places=after).model_dump_json(by_alias=True, indent=2)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, document.encode() + b"\n")
        except OSError as error:
            raise UsageError(
                f"`{self._path}` cannot be written: {(error.strerror or str(error)).lower()}",
                hint="it keeps which versions were taken; name another with `--verify-state`",
            ) from error
        self._taken = after

    def _read(self) -> _State:
        try:
            with open_plain(self._path) as file:
                data = file.read(_LIMIT_BYTES + 1)
        except FileNotFoundError:
            return _State(schema=_SCHEMA)
        except OSError as error:
            raise UsageError(f"`{self._path}` cannot be read: {error.strerror}") from error
        try:
            if len(data) > _LIMIT_BYTES:
                raise ValueError("it is larger than 4 MiB")
            return _State.model_validate_json(data)
        except (ValidationError, ValueError) as error:
            raise UsageError(
                f"`{self._path}` does not tell which versions were taken: it is damaged",
                hint="compare by hand what is to be watched by, then remove it",
            ) from error


def _key(found: BaselinePlace) -> str:
    """Return what a place is remembered by, also when a link leads elsewhere later."""
    place = found.place
    return str(place) if isinstance(place, RecordingUrl) else str(place.absolute())
