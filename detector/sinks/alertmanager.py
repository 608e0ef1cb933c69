"""Findings as alerts of Prometheus' Alertmanager, API version 2.

Its labels are what an alert *is*: two findings with the same labels are one alert. So they have the
rule and the workload alone; with a path or a process id every event would be an alert of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from detector.sinks.destination import Destination, time_of
from detector.sinks.http import HTTP, HTTP_TRANSPORTS, Poster
from detector.sinks.protocol import OneSink, Record, Sender, Sink, rendering

__all__ = ["alert", "sink"]

_PATH = "/api/v2/alerts"
_SHOWN = 1000  # characters of an annotation: they end in mails and chats
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {**HTTP, "firing": "how long an alert fires after it was seen last: `1h` without it"}
)


def alert(record: Record, sender: Sender, *, now: datetime, firing: timedelta) -> dict[str, Any]:
    """Return *record* as an alert that fires until *firing* after it was seen, or sent, last.

    One that waited while Alertmanager was down would be over before it came.
    """
    body = record.body
    workload = body["workload"]
    last_seen = datetime.fromisoformat(body["last_seen"])
    labels = {
        "alertname": body["rule"],
        "severity": body["severity"],
        "layer": body["layer"],
        "cluster": workload.get("cluster") or sender.cluster,
        "namespace": workload.get("namespace"),
        "workload": f"{workload['kind']}/{workload['name']}",
        "container": workload.get("container"),
        "node": sender.host,
    }
    process = body.get("process") or {}
    annotations = {
        "summary": f"{body['title']}: {body['evidence']['observed']}",
        "description": body["reason"],
        "count": str(body["count"]),
        "fingerprint": body["fingerprint"],
        "incident": body.get("incident"),
        "process": process.get("exe"),
        "arguments": json.dumps(process["argv"], ensure_ascii=False) if process.get("argv") else "",
        "ancestry": " <- ".join(one["exe"] for one in process.get("ancestry", ())),
        "entry": _entry(process),
        "user": str(process["uid"]) if "uid" in process else "",
        "login_user": str(process["loginuid"]) if "loginuid" in process else "",
        "image": workload.get("image"),
        "image_digest": workload.get("image_digest"),
        "pod_uid": (body.get("instance") or {}).get("pod_uid"),
        "peer": _peer(body.get("peer") or {}),
        "file": (body.get("file") or {}).get("path"),
        "expected": ", ".join(body["evidence"].get("expected", ())),
        "container_id": body.get("container_id"),
        "attack": " ".join(one["technique"] for one in body["attack"]),
        "baseline": body.get("baseline"),
        "state": body["workload_state"],
    }
    return {
        "labels": _told(labels),
        "annotations": _told(annotations),
        "startsAt": body["first_seen"],
        "endsAt": (max(last_seen, now) + firing).isoformat(timespec="milliseconds"),
    }


def _entry(process: Mapping[str, Any]) -> str:
    entry = process.get("entry") or {}
    return " ".join(entry[name] for name in ("type", "exe") if entry.get(name))


def _peer(peer: Mapping[str, Any]) -> str:
    where = peer.get("address") or peer.get("unix_path") or peer.get("local_address") or ""
    port = peer.get("port") or peer.get("local_port")
    words = (f"[{where}]" if ":" in where else where) + (f":{port}" if port else "")
    names = [peer[name] for name in ("name", "workload") if peer.get(name)]
    return f"{words} ({', '.join(names)})" if names else words


def _told(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: _cut(value) for name, value in fields.items() if value}


def _cut(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... of {len(text):,} characters"


class _Alertmanager:
    batch = 100

    def __init__(
        self, destination: Destination, sender: Sender, now: Callable[[], datetime]
    ) -> None:
        self._poster = Poster(destination, _PATH)
        self._sender, self._now = sender, now
        self._firing = timedelta(seconds=time_of(destination.chosen("firing", "1h"), "firing"))

    def send(self, records: Sequence[Record]) -> None:
        """Post *records* as alerts; the last one of the same labels is what is shown."""
        now = self._now()
        with rendering():
            alerts = [
                alert(record, self._sender, now=now, firing=self._firing) for record in records
            ]
            body = json.dumps(alerts, ensure_ascii=False).encode()
        self._poster.post(body, "application/json", {})

    def close(self) -> None:
        """Close the connection."""
        self._poster.close()


def sink() -> Sink:
    """Return the sink `alertmanager`."""
    return OneSink(
        "alertmanager",
        "alerts of Prometheus' Alertmanager (API v2)",
        HTTP_TRANSPORTS,
        _SETTINGS,
        lambda destination, sender: _Alertmanager(destination, sender, lambda: datetime.now(UTC)),
    )
