"""DNS replies: what was asked and answered, so that an address has the name it was asked for as.

A reply comes from whoever the workload talks to, and perhaps from the workload itself.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import stat
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ethogram.contracts.escape import escape

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name

__all__ = ["Names", "Reply", "parse_reply", "resolvers_of"]

_PAYLOAD_LIMIT = 4096
_ANSWERS_LIMIT = 64
_CHAIN_LIMIT = 16
_INTERNET, _CNAME, _ADDRESSES = 1, 5, (1, 28)

_NS = 1_000_000_000
# Programs use an address for longer than its time to live, and nobody uses one for days.
_LEAST_TTL_S, _LONGEST_TTL_S = 300, 86_400
_WORKLOADS_LIMIT, _NAMES_LIMIT = 4096, 4096

_RESOLV_CONF_LIMIT = 64 << 10
_RESOLVERS_LIMIT = 3  # MAXNS of the C library
_OPENAT2 = 437  # on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Reply:
    """A question and what was answered.

    *qname* is in lower case, without the last dot; a dot or backslash within a label is escaped
    by a backslash. *answers* are addresses of 4 or 16 bytes that belong to *qname* or to a name
    that it is an alias of; those are *names*, *qname* first. *ttl* is the shortest among them.
    """

    qname: bytes
    qtype: int
    rcode: int
    answers: tuple[bytes, ...]
    ttl: int
    names: tuple[bytes, ...]


def parse_reply(payload: bytes) -> Reply | None:
    """Return what a DNS message says, as far as it is there; None if it is no reply.

    Never raises. A message that ends early gives the answers before its end.
    """
    import dns.message  # noqa: PLC0415  50 ms that only a recorder with DNS replies needs

    try:
        message = dns.message.from_wire(
            payload[:_PAYLOAD_LIMIT],
            one_rr_per_rrset=False,
            ignore_trailing=True,
            continue_on_error=True,
        )
        return _reply(message)
    except Exception:  # dnspython has no one error for hostile bytes
        return None


def _reply(message: Message) -> Reply | None:
    from dns import flags, opcode  # noqa: PLC0415  as above

    is_reply = message.flags & flags.QR and message.opcode() == opcode.QUERY
    if not is_reply or len(message.question) != 1:
        return None
    question = message.question[0]
    if question.rdclass != _INTERNET:
        return None
    addresses: dict[Name, tuple[int, list[bytes]]] = {}
    aliases: dict[Name, tuple[int, Name]] = {}
    for rrset in message.answer:
        if rrset.rdclass != _INTERNET:
            continue
        if rrset.rdtype in _ADDRESSES:
            ttl, known = addresses.get(rrset.name, (rrset.ttl, []))
            known += [ipaddress.ip_address(record.address).packed for record in rrset]
            addresses[rrset.name] = min(ttl, rrset.ttl), known
        elif rrset.rdtype == _CNAME:
            aliases.setdefault(rrset.name, (rrset.ttl, rrset[0].target))
    name, chain, ttls = question.name, [question.name], []
    while name in aliases and len(chain) < _CHAIN_LIMIT:
        ttl, name = aliases[name]
        ttls.append(ttl)
        if name in chain:
            break
        chain.append(name)
    found = [addresses[name] for name in chain if name in addresses]
    answers = dict.fromkeys(address for _, known in found for address in known)
    return Reply(
        qname=_text(question.name),
        qtype=int(question.rdtype),
        rcode=int(message.rcode()),
        answers=tuple(answers)[:_ANSWERS_LIMIT],
        ttl=min([*ttls, *(ttl for ttl, _ in found)], default=0),
        names=tuple(_text(name) for name in chain),
    )


def _text(name: Name) -> bytes:
    labels = (label.replace(b"\\", b"\\\\").replace(b".", b"\\.") for label in name.labels if label)
    return b".".join(labels).lower() or b"."


class Names:
    """The names that addresses had for each workload, for as long as they were valid.

    Bounded for each workload, so that one that asks for very many forgets only its own.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, OrderedDict[bytes, tuple[str, bool, int]]] = OrderedDict()

    def learn(self, workload: int, reply: Reply, trusted: bool, time_ns: int) -> None:
        """Remember the addresses of *reply*, which came at *time_ns*, under what was asked.

        What is not *trusted* never takes the place of a trusted name that is still valid.
        """
        if not reply.answers:
            return
        known = self._known.setdefault(workload, OrderedDict())
        self._known.move_to_end(workload)
        if len(self._known) > _WORKLOADS_LIMIT:
            self._known.popitem(last=False)
        ttl_s = min(max(reply.ttl, _LEAST_TTL_S), _LONGEST_TTL_S)
        name = _as_str(reply.qname)
        for address in reply.answers:
            before = known.get(address)
            if before and before[1] and not trusted and before[2] >= time_ns:
                continue
            known[address] = (name, trusted, time_ns + ttl_s * _NS)
            known.move_to_end(address)
        while len(known) > _NAMES_LIMIT:
            known.popitem(last=False)

    def name_of(self, workload: int, address: bytes, time_ns: int) -> tuple[str, str] | None:
        """Return the name of *address* at *time_ns*, and `resolver` or `untrusted`."""
        known = self._known.get(workload)
        found = known.get(address) if known else None
        if found is None or found[2] < time_ns:
            return None
        return found[0], "resolver" if found[1] else "untrusted"


def _as_str(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return escape(name)


# --- whose answers count --------------------------------------------------------------------------


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64),
    )  # fmt: skip


def resolvers_of(pid: int) -> frozenset[bytes]:
    """Return the name servers, 4 or 16 bytes each, of the `/etc/resolv.conf` that *pid* sees.

    Empty where there is none, the process is gone, or what is there is anything but a small
    regular file: a container chooses what lies there. Links are followed inside its root.
    """
    try:
        content = _read_below(f"/proc/{pid}/root", "etc/resolv.conf")
    except OSError:
        return frozenset()
    servers: list[bytes] = []
    for line in content.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != b"nameserver":
            continue
        address = _address(words[1])
        if address and len(servers) < _RESOLVERS_LIMIT:
            servers.append(address)
    return frozenset(servers)


def _address(word: bytes) -> bytes | None:
    try:
        address = ipaddress.ip_address(word.partition(b"%")[0].decode("ascii"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).packed


def _read_below(root: str, path: str) -> bytes:
    """Return the content of the small regular file *path* below *root*; `OSError` if it is none."""
    base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = _open_inside(base, path)
    finally:
        os.close(base)
    try:
        status = os.fstat(found)
        # The files of procfs say that they are empty; to read one may wait, or take from others.
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= _RESOLV_CONF_LIMIT:
            raise FileNotFoundError
        # Nothing was opened yet but the path: opening a device or FIFO could do something.
        reader = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(found)
    try:
        return os.read(reader, _RESOLV_CONF_LIMIT)
    finally:
        os.close(reader)


def _open_inside(base: int, path: str) -> int:
    how = _OpenHow(
        flags=os.O_PATH | os.O_CLOEXEC, resolve=_RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS
    )
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    found = libc.syscall(
        ctypes.c_long(_OPENAT2), ctypes.c_int(base), ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)),
    )  # fmt: skip
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)
