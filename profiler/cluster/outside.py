"""Services that stand for a name outside: whose an address is that a resolver gave for one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from profiler.cluster.intervals import Intervals
from profiler.identity.addresses import addresses_of_external_name
from profiler.identity.kubernetes import Service

__all__ = ["Outside"]

# A name outside may have other addresses at every answer.
_ANSWERS = 64


class Outside:
    """The services with `externalName`, and what was answered for them, as rows of *addresses*."""

    def __init__(self, addresses: Intervals) -> None:
        self._addresses = addresses
        self._services: dict[tuple[str, str], Service] = {}
        self._answers: dict[tuple[str, str], OrderedDict[bytes, None]] = {}

    def put(self, name: tuple[str, str], service: Service | None, now_ns: int) -> None:
        """Take *service* as what is called *name* now; None where it is gone."""
        before = self._services.pop(name, None)
        outside = (service and service.spec.external_name) or ""
        if before is not None and before.spec.external_name != outside:
            self._answers.pop(name, None)
            self._addresses.set(("ExternalName", name), (), since_ns=None, now_ns=now_ns)
        # A name within the cluster is that of another service, whose address it has.
        if service is not None and outside and ".svc." not in f"{outside}.":
            self._services[name] = service

    def resolved(self, qname: bytes, answers: Iterable[bytes], now_ns: int) -> bool:
        """Take what the cluster's resolver answered for *qname*; return whether it is news.

        *qname* is in lower case, without the last dot. Workloads ask for
        `SERVICE.NAMESPACE.svc.cluster.local`, whatever they were told to connect to.
        """
        match qname.decode("ascii", "replace").split("."):
            case [service, namespace, "svc", *_]:
                name = namespace, service
            case _:
                return False
        if (found := self._services.get(name)) is None:
            return False
        known = self._answers.setdefault(name, OrderedDict())
        for addr in answers:
            known[addr] = None
            known.move_to_end(addr)
        while len(known) > _ANSWERS:
            known.popitem(last=False)
        rows = addresses_of_external_name(found, known)
        of = ("ExternalName", name)
        return bool(self._addresses.set(of, rows, since_ns=now_ns, now_ns=now_ns))
