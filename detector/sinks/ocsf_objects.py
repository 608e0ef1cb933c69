"""Objects of OCSF 1.8 that findings and events share: processes, containers, files, endpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

__all__ = [
    "answers",
    "connection_info",
    "container",
    "ends",
    "entity",
    "file",
    "milliseconds",
    "process",
    "query",
    "unmapped_of",
]

_REGULAR_FILE, _UNKNOWN_FILE = 1, 0
_SHA256 = 3
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DIRECTIONS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"in": (1, "Inbound"), "out": (2, "Outbound")}
)
_NUMBERS: Mapping[str, int] = MappingProxyType(
    {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132, "udplite": 136}
)
_QTYPES: Mapping[int, str] = MappingProxyType(
    {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
     64: "SVCB", 65: "HTTPS", 255: "ANY"}
)  # fmt: skip
# What OCSF has no place for.
_OF_PROCESS = (
    "argv", "entry", "session_leader", "candidates", "parent_exec_id",
    "fork_parent_exec_id", "more_ancestors", "euid", "egid", "gid", "loginuid", "pgid", "sid",
    "stdio", "script", "interpreter", "is_fork", "was_there_before", "signal", "file",
)  # fmt: skip


def milliseconds(text: str) -> int:
    """Return the time *text* since 1970."""
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1000 + since.microseconds // 1000


def container(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the container of a finding or event, nothing where it is in none."""
    workload, instance = body["workload"], body.get("instance") or {}
    made: dict[str, Any] = {
        "uid": body.get("container_id"), "name": workload.get("container"),
    }  # fmt: skip
    if not any(made.values()):
        return {}
    made["runtime"] = instance.get("runtime")
    if _UUID.fullmatch(instance.get("pod_uid") or ""):  # a static pod's is a digest
        made["pod_uuid"] = instance["pod_uid"]
    if instance.get("pod_uid"):
        made["orchestrator"] = "Kubernetes"
    image, digest = workload.get("image"), workload.get("image_digest")
    if image or digest:
        name, _, tag = (image or "").partition("@")[0].rpartition(":")
        if not name or "/" in tag:
            name, tag = (image or "").partition("@")[0], ""
        made["image"] = _known({"uid": digest or image, "name": name, "tag": tag})
    return _known(made)


def process(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the process of a finding or event with its ancestors, nothing where there is none."""
    told = body.get("process")
    if not told:
        return {}
    made = entity(told)
    made["file"] = _executable(told)
    if told.get("argv"):
        made["cmd_line"] = " ".join(told["argv"])
    ancestry = told.get("ancestry") or ()
    if ancestry:
        made["ancestry"] = [entity(one) for one in ancestry]
        made["parent_process"] = entity(ancestry[0])
    if told.get("uid") is not None:
        made["user"] = {"uid": str(told["uid"])}
    if told.get("sessionid") is not None:
        made["session"] = {"uid": str(told["sessionid"])}
    made["namespace_pid"] = told.get("ns_pid")
    made["working_directory"] = told.get("cwd")
    for name, source in (("created_time", "started"), ("terminated_time", "ended")):
        if told.get(source):
            made[name] = milliseconds(told[source])
    return _known(made)


def entity(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a process as another one's ancestor."""
    made = {"uid": told["exec_id"], "path": told["exe"], "name": _name(told["exe"])}
    return made | ({} if told.get("pid") is None else {"pid": told["pid"]})


def _executable(told: Mapping[str, Any]) -> dict[str, Any]:
    known = told.get("file") or {}
    made = {"name": _name(told["exe"]), "path": told["exe"], "type_id": _REGULAR_FILE}
    if known.get("ino"):
        made["uid"] = f"{known.get('dev', 0)}:{known['ino']}"
    if known.get("nlink") == 0:
        made["is_deleted"] = True
    if known.get("sha256"):
        made["hashes"] = [
            {"algorithm_id": _SHA256, "algorithm": "SHA-256", "value": known["sha256"]}
        ]
    return made


def file(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the file of a finding, nothing where it has none."""
    if not told:
        return {}
    made = {"name": _name(told["path"]), "path": told["path"], "type_id": _UNKNOWN_FILE}
    if told.get("ino"):
        made["uid"] = f"{told.get('dev', 0)}:{told['ino']}"
    return made


def ends(peer: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return source, destination and connection of a peer, nothing where there is none."""
    if not peer:
        return {}
    far = _endpoint(
        peer.get("address"), peer.get("port"), peer.get("name") or peer.get("workload"),
        peer.get("unix_path"),
    )  # fmt: skip
    near = _endpoint(peer.get("local_address"), peer.get("local_port"), None, None)
    if peer["direction"] in {"in", "out"}:
        if peer.get("nat_address"):
            far["intermediate_ips"] = [peer["nat_address"]]
        if peer.get("container_id"):
            far["container"] = {"uid": peer["container_id"]}
    else:
        near = near or _endpoint(None, None, None, peer.get("unix_path"))
        far = {}
    source, destination = (near, far) if peer["direction"] == "out" else (far, near)
    made = {
        "src_endpoint": source,
        "dst_endpoint": destination,
        "connection_info": connection_info(peer),
    }
    return {name: value for name, value in made.items() if value}


def connection_info(peer: Mapping[str, Any]) -> dict[str, Any]:
    """Return protocol and direction of *peer*."""
    number, word = _DIRECTIONS.get(peer["direction"], (0, "Unknown"))
    made = {"direction_id": number, "direction": word, "protocol_name": peer["protocol"]}
    if (protocol := _NUMBERS.get(peer["protocol"])) is not None:
        made["protocol_num"] = protocol
    return made


def _endpoint(
    address: str | None, port: int | None, name: str | None, path: str | None
) -> dict[str, Any]:
    """Return an endpoint; OCSF wants one with an address or a name."""
    if address is None and name is None and path is None:
        return {}
    return _known({"ip": address, "port": port, "hostname": name, "name": path})


def query(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a DNS question."""
    return {"hostname": told["name"], "type": _QTYPES.get(told["type"], str(told["type"]))}


def unmapped_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the process, file and peer OCSF has no place for, as it stands."""
    told = body.get("process") or {}
    made: dict[str, Any] = {name: told[name] for name in _OF_PROCESS if name in told}
    if "file" in made:
        made["executable"] = made.pop("file")
    for name in ("container_root", "instance", "file", "peer", "dns"):
        if name in body:
            made[name] = body[name]
    return made


def _name(path: str) -> str:
    return path.rpartition("/")[2] or path or "?"


def _known(made: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if value is not None and value != ""}


def answers(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what was answered to a DNS question."""
    return [{"rdata": text, "type": "AAAA" if ":" in text else "A"} for text in told["answers"]]
