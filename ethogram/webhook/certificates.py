"""The certificate that the webhook serves with, taken anew when its files change."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from ethogram.contracts.escape import escape
from ethogram.errors import UsageError
from ethogram.webhook.config import TlsFiles

__all__ = ["Certificate"]

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass
class Certificate:
    """The *context* that connections are accepted with; `UsageError` where there can be none.

    A connection that is there keeps its certificate; one that begins gets the newest.
    """

    files: TlsFiles
    context: ssl.SSLContext
    expires_s: float
    _stamp: _Stamp

    @classmethod
    def load(cls, files: TlsFiles) -> Certificate:
        """Return what serves with *files*."""
        stamp = _stamp(files)
        context = _context(files)
        return cls(files, context, _expires_s(files), stamp)

    def reload(self, say: Callable[[str], None]) -> bool | None:
        """Take the files where they changed: True if so, False where they are not to be used.

        None is: nothing changed. What cannot be used is said once, and the old one stays.
        """
        try:
            stamp = _stamp(self.files)
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            _context(self.files)  # while a Secret is changed the two may be of different pairs
            expires_s = _expires_s(self.files)
            self.context.load_cert_chain(self.files.certificate, self.files.key, _no_password)
        except (UsageError, OSError, ValueError) as error:
            cause = error.message if isinstance(error, UsageError) else str(error)
            say(f"warning: the new certificate is not taken: {cause}")
            return False
        self.expires_s = expires_s
        return True


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.key, _no_password)
    except (OSError, ssl.SSLError) as error:
        what = (error.strerror or "no certificate and key of one pair, as PEM").lower()
        if isinstance(error, ssl.SSLError):
            what = "no certificate and key of one pair, as PEM"
        raise UsageError(
            f"`{escape(files.certificate)}` and `{escape(files.key)}` cannot be used: {what}",
            hint="`ethogram webhook manifests --certificates self` makes such",
        ) from error
    return context


def _no_password() -> bytes:
    return b""  # else one would be asked for on the terminal


def _expires_s(files: TlsFiles) -> float:
    try:
        found = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
    except ValueError as error:
        raise UsageError(f"`{escape(files.certificate)}` holds no certificate") from error
    return found.not_valid_after_utc.timestamp()


def _stamp(files: TlsFiles) -> _Stamp:
    # Of what links lead to: a Secret changes by a link that is replaced.
    try:
        found = [Path(name).stat() for name in (files.certificate, files.key)]
    except OSError as error:
        raise UsageError(
            f"`{escape(str(error.filename))}` cannot be read: {(error.strerror or '').lower()}"
        ) from error
    return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)
