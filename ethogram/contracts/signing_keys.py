"""Ed25519 keys in PEM files: the private one its owner's alone, the public one beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.contracts.durable import create_file, sync_directory, write_all
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

__all__ = ["PUBLIC_SUFFIX", "PublicKey", "SigningKey", "new_key", "public_key", "signing_key"]

PUBLIC_SUFFIX = ".pub"
_LIMIT_BYTES = 64 << 10
_MAKE = "`ethogram sign --new-key FILE` makes a key, and `FILE.pub` with its public half"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked by; *id* is the SHA-256 of its 32 bytes."""

    id: str
    key: Ed25519PublicKey

    def is_signature(self, signature: bytes, message: bytes) -> bool:
        """Return whether *signature* is this key's for *message*."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  20 ms

        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs; *id* is its public half's."""

    id: str
    key: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        """Return the signature of *message*: the same each time."""
        return self.key.sign(message)


def new_key(path: Path, passphrase: bytes | None) -> PublicKey:
    """Write a new key to *path*, mode 0600, and its public half beside it; return that.

    Raises `UsageError` where one of them is there already: a key that is lost cannot be made anew.
    """
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    protection = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, protection)
    public = key.public_key().public_bytes(
        form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    )
    beside = path.with_name(path.name + PUBLIC_SUFFIX)
    if beside.exists():
        raise _exists(beside)
    _create(path, private, mode=0o600)
    _create(beside, public, mode=0o644)
    return _public(key.public_key())


def signing_key(path: Path, passphrase: bytes | None) -> SigningKey:
    """Return the private key in *path*; `UsageError` names the file and what is wrong."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    data = _read(path)
    is_protected = b"BEGIN ENCRYPTED PRIVATE KEY" in data
    if is_protected and not passphrase:
        raise UsageError(
            f"key `{path}` has a passphrase",
            hint="name its file with `--passphrase-file`, or set `ETHOGRAM_KEY_PASSPHRASE`",
        )
    try:
        key = load_pem_private_key(data, passphrase if is_protected else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if is_protected:
            cause = "the passphrase is another, or it is damaged"
            raise UsageError(f"key `{path}` cannot be read: {cause}") from error
        raise UsageError(f"`{path}` is no private key in PEM", hint=_MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"key `{path}` is of another kind than Ed25519", hint=_MAKE)
    return SigningKey(_public(key.public_key()).id, key)


def public_key(path: Path) -> PublicKey:
    """Return the public key in *path*; `UsageError` names the file and what is wrong."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_public_key,
    )

    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise UsageError(
            f"`{path}` is a private key, which belongs to whoever signs",
            hint=f"name its public half, `{path}{PUBLIC_SUFFIX}`",
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"`{path}` is no public key in PEM", hint=_MAKE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"key `{path}` is of another kind than Ed25519", hint=_MAKE)
    return _public(key)


def _public(key: Ed25519PublicKey) -> PublicKey:
    return PublicKey(hashlib.sha256(key.public_bytes_raw()).hexdigest(), key)


def _read(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            data = file.read(_LIMIT_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"there is no key `{path}`", hint=_MAKE) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"key `{path}` cannot be read: {reason}") from error
    if len(data) > _LIMIT_BYTES:
        raise UsageError(f"`{path}` is no key: it is larger than {_LIMIT_BYTES >> 10} KiB")
    return data


def _create(path: Path, data: bytes, *, mode: int) -> None:
    try:
        descriptor = create_file(path, mode=mode)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"key `{path}` cannot be written: {reason}") from error
    with open(descriptor, "wb", closefd=True) as file:  # noqa: PTH123  a descriptor
        write_all(file.fileno(), data)
    sync_directory(path.absolute().parent)


def _exists(path: Path) -> UsageError:
    return UsageError(f"`{path}` exists", hint="name another file: no key is ever replaced")
