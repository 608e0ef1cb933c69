"""The row of the window that showed what a finding tells of: which file, which peer, which name."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from detector.live import Live
from detector.peer_words import PeerNames, dns_words, file_words, peer_words, rows_of
from detector.sighting import Sighting
from ethogram.contracts.baseline import AnyValue, DnsValue, ExecValue, FileValue
from ethogram.contracts.escape import escape, escape_pattern
from ethogram.contracts.finding_parts import FindingDns, FindingFile, FindingPeer

__all__ = ["Detail", "Details"]

_TABLES = {"files": "files", "peers": "network", "listens": "network", "dns": "dns"}


class Detail(NamedTuple):
    """What a finding has of the row that showed it."""

    file: FindingFile | None = None
    peer: FindingPeer | None = None
    dns: FindingDns | None = None


class Details:
    """Looks up in the open window what a sighting is of. Asked for what is told alone."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._names: PeerNames | None = None

    def begin(self, live: Live) -> None:
        """Look into the window that *live* has open from now on."""
        self._live, self._names = live, None

    def of(self, sighting: Sighting) -> Detail:
        """Return the file, peer or question of a finding; nothing where no row is its own.

        One that stands for many gets what it begins with.
        """
        value = sighting.value or next(iter(sighting.values), None)
        if isinstance(value, ExecValue):
            in_image = None if value.upper is None else not value.upper
            return Detail(file=FindingFile(path=value.path, access="x", in_image=in_image))
        table = _TABLES.get(sighting.dimension)
        if self._live is None or table is None or value is None:
            return Detail()
        found = _row(self._live.window(table), table, sighting, value)
        if found is None:
            return Detail()
        (batch,) = found.combine_chunks().to_batches()
        (row,) = rows_of(batch)
        if table == "files":
            return Detail(file=FindingFile.model_validate(file_words(row)))
        if table == "dns":
            return Detail(dns=FindingDns.model_validate(dns_words(row)))
        self._names = self._names or PeerNames.of(self._live)
        whose = self._names.of_batch(batch)[0]
        return Detail(peer=FindingPeer.model_validate(peer_words(row, whose)))


def _row(rows: pa.Table, table: str, sighting: Sighting, value: AnyValue) -> pa.Table | None:
    """Return the row of *table* that was first seen when *sighting* was, None where none was."""
    rows = rows.filter(pc.equal(rows.column("instance"), pa.scalar(sighting.instance, pa.uint32())))
    if isinstance(value, DnsValue):
        names = [escape(name) for name in rows.column("qname").to_pylist()]
        return rows.slice(names.index(value.name), 1) if value.name in names else None
    if table == "dns":
        return None
    rows = rows.filter(pc.equal(rows.column("first").cast(pa.int64()), sighting.first_ns))
    if isinstance(value, FileValue):
        paths = [escape_pattern(path) for path in rows.column("path").to_pylist()]
        return rows.slice(paths.index(value.path), 1) if value.path in paths else None
    return rows.slice(0, 1) if rows.num_rows else None
