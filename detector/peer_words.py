"""Files, peers and questions as findings and events have them: JSON as in `finding_parts`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa

from ethogram.contracts.escape import escape
from learner.dimensions import access_letters, protocol_word
from learner.peers import Peers

__all__ = ["PeerNames", "dns_words", "file_words", "peer_words", "rows_of"]

_IN_IMAGE = {"yes": True, "no": False}


class PeerNames:
    """Says whose addresses are, as the inventory has it."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    @classmethod
    def of(cls, live: Any) -> PeerNames:
        """Return what the tables of *live* say now."""
        workloads = {row["workload"]: row for row in live.table("workloads").to_pylist()}
        return cls(Peers(live.table("addresses"), workloads))

    def of_batch(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """Return for each row of table `network` whose its peer is; nothing where it is unknown."""
        numbers = self._peers.whose(batch).to_pylist()
        return [{} if number is None else self._words(number) for number in numbers]

    def _words(self, number: int) -> dict[str, Any]:
        who = self._peers.identity(number)
        names = (who.get("namespace"), who.get("owner"), who.get("name"))
        return {"kind": who["kind"], "workload": "/".join(name for name in names if name)}


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of *batch*, with times in nanoseconds UTC."""
    columns = {
        field.name: column.cast(pa.int64()) if pa.types.is_timestamp(field.type) else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    }
    rows: list[dict[str, Any]] = pa.RecordBatch.from_pydict(columns).to_pylist()
    return rows


def peer_words(row: Mapping[str, Any], whose: Mapping[str, Any]) -> dict[str, Any]:
    """Return the other end of a row of table `network`; *whose* is what `PeerNames` says."""
    path = row["unix_path"]
    told = {
        "direction": row["direction"],
        "protocol": protocol_word(row["family"], row["type"], row["protocol"]),
        "address": address_text(row["peer_addr"]),
        "port": row["peer_port"],
        "local_address": address_text(row["local_addr"]),
        "local_port": row["local_port"],
        "nat_address": address_text(row["nat_addr"]),
        "nat_port": row["nat_port"],
        "unix_path": None if path is None else unix_text(path),
        "name": None if row["name"] is None else escape(row["name"]),
        "name_trust": row["name_trust"],
        **whose,
    }
    return {name: value for name, value in told.items() if value is not None}


def file_words(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file of a row of table `files`; nothing was opened where *dev* is absent."""
    asked = row["asked"]
    told = {
        "path": escape(row["path"]),
        "asked": None if asked is None else escape(asked),
        "dev": row["dev"] or None,
        "ino": row["ino"] or None,
        "access": access_letters(row["access"]) or None,
        "in_image": _IN_IMAGE.get(row["in_image"]),
        "errno": row["errno"],
        "is_truncated": row["truncated"] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def dns_words(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the question of a row of table `dns`."""
    told = {
        "name": escape(row["qname"]),
        "type": row["qtype"],
        "rcode": row["rcode"],
        "answers": [text for one in row["answers"] if (text := address_text(one))],
        "resolver": address_text(row["resolver"]),
        "is_trusted": row["trusted"],
    }
    return {name: value for name, value in told.items() if value is not None}


@lru_cache(maxsize=4096)
def address_text(address: bytes | None) -> str | None:
    """Return *address* as people write it, None for none."""
    if address is None or len(address) not in (4, 16):
        return None
    return str(ipaddress.ip_address(address))


def unix_text(path: bytes) -> str:
    """Return the name of a UNIX socket; an abstract one begins with `@`."""
    return escape(b"@" + path[1:] if path[:1] == b"\0" else path)
