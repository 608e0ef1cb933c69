"""The signed list of a place: which baselines and models belong there, by their digests.

A DSSE envelope (github.com/secure-systems-lab/dsse, version 1.0) around one JSON document. What is
signed is the type of the document together with its bytes, so that no signature of something else
can be passed off as one of this.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from ethogram.contracts.baseline_values import Digest, Frozen, Time
from ethogram.contracts.escape import escape
from ethogram.contracts.signing_keys import PublicKey, SigningKey
from ethogram.errors import BaselineError

__all__ = [
    "LARGEST_SEQUENCE",
    "PAYLOAD_TYPE",
    "SIGNED_SCHEMA",
    "Checked",
    "SignedList",
    "check",
    "read",
    "seal",
]

PAYLOAD_TYPE: Literal["application/vnd.ethogram.signed+json"] = (
    "application/vnd.ethogram.signed+json"
)
SIGNED_SCHEMA: Literal["ethogram.signed/1"] = "ethogram.signed/1"
LARGEST_SEQUENCE = 2**53 - 1  # what every reader of JSON reads exactly
_MOST_FILES = 20_000
_MOST_SIGNATURES = 16
_LIMIT_BYTES = 4 << 20
_NAME = re.compile(r"(?:[^/.][^/]*/){0,8}[^/.][^/]*\.(?:yaml|yml|skops)")
_SIGN = "`ethogram sign` writes it"


class SignedList(Frozen):
    """What belongs to a place: *files* by name with their digests, in the version *sequence*.

    Of two lists of one place the one with the larger *sequence* is newer. *time* is for people.
    """

    schema_name: Literal["ethogram.signed/1"] = Field(SIGNED_SCHEMA, alias="schema")
    sequence: Annotated[int, Field(ge=1, le=LARGEST_SEQUENCE, strict=True)]
    time: Time
    files: Annotated[dict[str, Digest], Field(min_length=1, max_length=_MOST_FILES)]

    @field_validator("files")
    @classmethod
    def _names_stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if not name.isprintable() or len(name) > 1024 or not _NAME.fullmatch(name):
                raise ValueError(f"`{escape(name[:100])}` is no name of a baseline or model")
        return files

    @property
    def baselines(self) -> set[str]:
        return {name for name in self.files if not name.endswith(".skops")}

    @property
    def models(self) -> set[str]:
        return self.files.keys() - self.baselines


class _Signature(Frozen):
    keyid: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    sig: Annotated[str, Field(max_length=128)]


class _Envelope(Frozen):
    payload_type: Literal["application/vnd.ethogram.signed+json"] = Field(alias="payloadType")
    payload: str
    signatures: Annotated[tuple[_Signature, ...], Field(min_length=1, max_length=_MOST_SIGNATURES)]


@dataclass(frozen=True, slots=True)
class Checked:
    """A list whose signature holds, the digest of its document, and the key that signed."""

    listed: SignedList
    sha256: str
    key_id: str


def seal(listed: SignedList, keys: Sequence[SigningKey]) -> bytes:
    """Return *listed* as a file, signed by each of *keys*: the same bytes for equal input."""
    payload = json.dumps(
        listed.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":")
    ).encode()
    message = _message(payload)
    document = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": key.id, "sig": base64.b64encode(key.sign(message)).decode()} for key in keys
        ],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def check(data: bytes, keys: Sequence[PublicKey], *, source: str) -> Checked:
    """Return the list in *data*, which one of *keys* signed.

    `BaselineError` names *source*, the field and the cause. What nobody signed is not even parsed.
    """
    envelope, payload = _opened(data, source)
    message = _message(payload)
    known = {key.id: key for key in keys}
    for number, one in enumerate(envelope.signatures):
        key = known.get(one.keyid)
        if key is None:
            continue
        if not key.is_signature(_decoded(one.sig, f"signatures.{number}.sig", source), message):
            raise BaselineError(
                f"`{source}`: field `signatures.{number}.sig`: it is no signature of this list by "
                f"key `{one.keyid[:16]}`: somebody altered it"
            )
        return Checked(_listed(payload, source), sha256(payload).hexdigest(), one.keyid)
    signers = ", ".join(f"`{one.keyid[:16]}`" for one in envelope.signatures[:3])
    raise BaselineError(
        f"`{source}`: field `signatures`: it is signed by {signers}, and by no key that was named",
        hint="`--verify-key` names the public key of who signs; it may be repeated",
    )


def read(data: bytes, *, source: str) -> SignedList:
    """Return the list in *data*, whoever wrote it."""
    return _listed(_opened(data, source)[1], source)


def _message(payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _opened(data: bytes, source: str) -> tuple[_Envelope, bytes]:
    if len(data) > _LIMIT_BYTES:
        raise BaselineError(f"`{source}` is larger than {_LIMIT_BYTES >> 20} MiB", hint=_SIGN)
    try:
        envelope = _Envelope.model_validate_json(data)
    except ValidationError as error:
        raise _field_error(error, source) from error
    return envelope, _decoded(envelope.payload, "payload", source)


def _listed(payload: bytes, source: str) -> SignedList:
    try:
        return SignedList.model_validate_json(payload)
    except ValidationError as error:
        raise _field_error(error, source, "payload.") from error


def _decoded(text: str, field: str, source: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BaselineError(f"`{source}`: field `{field}`: it is not base64", hint=_SIGN) from error


def _field_error(error: ValidationError, source: str, prefix: str = "") -> BaselineError:
    first = error.errors(include_url=False, include_input=False)[0]
    field = prefix + (".".join(escape(str(part))[:100] for part in first["loc"]) or "document")
    cause = first["msg"].removeprefix("Value error, ")
    return BaselineError(f"`{source}`: field `{field}`: {cause[0].lower()}{cause[1:]}", hint=_SIGN)
