"""The row of the window that showed what a finding tells of: which file, which peer, which name."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from detector.live import Live
from detector.peer_words import PeerNames, dns_words, file_words, peer_words, rows_of
from detector.rows import ROWS_OF, Rows
from detector.sighting import Sighting
from ethogram.contracts.baseline import AnyValue, DnsValue, ExecValue, FileValue
from ethogram.contracts.escape import escape, escape_pattern
from ethogram.contracts.finding_parts import FindingDns, FindingFile, FindingPeer

__all__ = ["Detail", "Details"]


_Place = tuple[int, int, int | None]  # of rows, instance, time


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
        self._now: Rows | None = None
        # Where in the window a name or a path of an instance stands, looked up once for all of it.
        self._places: dict[_Place, tuple[pa.Table, dict[str, int]]] = {}
        self._asked_of: list[pa.Table] = []  # others must not get their numbers

    def begin(self, live: Live) -> None:
        """Look into the window that *live* has open from now on."""
        self._live, self._names, self._now = live, None, None
        self._places.clear()
        self._asked_of.clear()

    def of(self, sighting: Sighting) -> Detail:
        """Return the file, peer or question of a finding; nothing where no row is its own.

        One that stands for many gets what it begins with.
        """
        value = sighting.value or next(iter(sighting.values), None)
        if isinstance(value, ExecValue):
            in_image = None if value.upper is None else not value.upper
            return Detail(file=FindingFile(path=value.path, access="x", in_image=in_image))
        table = ROWS_OF.get(sighting.dimension)
        if self._live is None or table is None or value is None:
            return Detail()
        rows = (sighting.rows or self._rows_now()).of(sighting.dimension)
        found = self._row(rows, table, sighting, value)
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

    def _rows_now(self) -> Rows:
        assert self._live is not None
        self._now = self._now or Rows(self._live)
        return self._now

    def _row(
        self, rows: pa.Table, table: str, sighting: Sighting, value: AnyValue
    ) -> pa.Table | None:
        """Return the row of *table* that was first seen when *sighting* was, None for none."""
        if isinstance(value, DnsValue):
            return self._named(rows, "qname", value.name, sighting.instance, None)
        if isinstance(value, FileValue):
            return self._named(rows, "path", value.path, sighting.instance, sighting.first_ns)
        if table == "dns":
            return None
        found = _of(rows, sighting.instance, sighting.first_ns)
        return found.slice(0, 1) if found.num_rows else None

    def _named(
        self, rows: pa.Table, column: str, name: str, instance: int, first_ns: int | None
    ) -> pa.Table | None:
        """Return the first row of *instance* whose *column* reads *name* in a baseline."""
        key = id(rows), instance, first_ns
        if key not in self._places:
            chosen = _of(rows, instance, first_ns)
            written = escape if first_ns is None else escape_pattern
            texts = map(written, reversed(chosen.column(column).to_pylist()))
            places = {text: chosen.num_rows - 1 - at for at, text in enumerate(texts)}
            self._places[key] = chosen, places
            self._asked_of.append(rows)
        chosen, places = self._places[key]
        return chosen.slice(places[name], 1) if name in places else None


def _of(rows: pa.Table, instance: int, first_ns: int | None) -> pa.Table:
    """Return those of *rows* that are of *instance*, and were first seen then."""
    rows = rows.filter(pc.equal(rows.column("instance"), pa.scalar(instance, pa.uint32())))
    if first_ns is None:
        return rows
    return rows.filter(pc.equal(rows.column("first").cast(pa.int64()), first_ns))
