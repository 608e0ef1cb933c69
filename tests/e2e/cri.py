"""A pod on a containerd of its own through the container runtime interface, as a kubelet does it.

The few messages that are needed are written by hand: a field number before each value.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

__all__ = ["CriPod", "Kubelet", "image_archive"]

Value = str | int | bytes | Sequence[str]
_HOST_NETWORK = 2
_OCI = "application/vnd.oci.image"


def _number(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def message(fields: Mapping[int, Value]) -> bytes:
    """Return a message with *fields* by number; a list is a field that is repeated."""
    found = b""
    for number, value in fields.items():
        for one in [value] if isinstance(value, str | int | bytes) else value:
            if isinstance(one, int):
                found += _number(number << 3) + _number(one)
            else:
                raw = one.encode() if isinstance(one, str) else one
                found += _number(number << 3 | 2) + _number(len(raw)) + raw
    return found


def first_text(answer: bytes) -> str:
    """Return the first field of *answer*, a short text."""
    assert answer[0] == 1 << 3 | 2
    return answer[2 : 2 + answer[1]].decode()


def image_archive(root: Path, archive: Path, name: str) -> None:
    """Write the tree *root* into *archive* as the OCI image *name*."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, arcname=".")
    content = layer.getvalue()
    packed = gzip.compress(content, compresslevel=1, mtime=0)
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sleep", "1000"]},
        "author": name, "rootfs": {"type": "layers", "diff_ids": [_digest(content)]},
    }  # fmt: skip
    blobs = {"layer": packed, "config": json.dumps(config).encode()}
    manifest = {
        "schemaVersion": 2,
        "config": _described(blobs["config"], f"{_OCI}.config.v1+json"),
        "layers": [_described(packed, f"{_OCI}.layer.v1.tar+gzip")],
    }
    blobs["manifest"] = json.dumps(manifest).encode()
    described = _described(blobs["manifest"], f"{_OCI}.manifest.v1+json")
    described["annotations"] = {"io.containerd.image.name": name}
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [described]}).encode(),
        **{f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in blobs.values()},
    }
    with tarfile.open(archive, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _described(blob: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


@dataclass(frozen=True)
class CriPod:
    """What a kubelet says of a pod with one container."""

    namespace: str
    name: str
    uid: str
    container: str
    image: str
    cgroup_parent: str

    def sandbox(self) -> bytes:
        """Return the `PodSandboxConfig`: on the network of the host, which needs no plugin."""
        namespaces = message({1: message({1: _HOST_NETWORK})})
        labels = {
            "io.kubernetes.pod.name": self.name,
            "io.kubernetes.pod.namespace": self.namespace,
            "io.kubernetes.pod.uid": self.uid,
        }
        return message({
            1: message({1: self.name, 2: self.uid, 3: self.namespace}),
            6: [message({1: key, 2: value}) for key, value in labels.items()],  # type: ignore[dict-item]
            8: message({1: self.cgroup_parent, 2: namespaces}),
        })  # fmt: skip

    def config(self, command: Sequence[str], mounts: Mapping[str, str]) -> bytes:
        """Return the `ContainerConfig`; *mounts* are paths of the host by those inside."""
        shown = [message({1: inside, 2: host, 3: 1}) for inside, host in mounts.items()]
        return message({
            1: message({1: self.container}), 2: message({1: self.image}), 3: command,
            7: shown,  # type: ignore[dict-item]
        })  # fmt: skip


class Kubelet:
    """Asks the runtime at *address* for what a kubelet asks it for."""

    def __init__(self, address: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix://{address}")

    def close(self) -> None:
        self._channel.close()

    def _ask(self, what: str, request: bytes, *, service: str = "Runtime") -> bytes:
        call = self._channel.unary_unary(f"/runtime.v1.{service}Service/{what}")
        answer: bytes = call(request, timeout=60, wait_for_ready=True)
        return answer

    def wait_for_image(self, name: str) -> None:
        """Return when the runtime knows the image *name*, which is imported beside it."""
        request = message({1: message({1: name})})
        for _ in range(10_000):
            if self._ask("ImageStatus", request, service="Image"):
                return
        raise AssertionError(f"the runtime does not learn of `{name}`")

    @contextmanager
    def sandbox(self, pod: CriPod) -> Iterator[str]:
        """Run the sandbox of *pod* until the block ends; yield its id."""
        number = first_text(self._ask("RunPodSandbox", message({1: pod.sandbox()})))
        try:
            yield number
        finally:
            self._ask("StopPodSandbox", message({1: number}))
            self._ask("RemovePodSandbox", message({1: number}))

    def start(
        self,
        pod: CriPod,
        sandbox: str,
        command: Sequence[str],
        mounts: Mapping[str, str] | None = None,
    ) -> str:
        """Start the container of *pod*; return its id. It ends with its sandbox."""
        config = pod.config(command, mounts or {})
        request = message({1: sandbox, 2: config, 3: pod.sandbox()})
        number = first_text(self._ask("CreateContainer", request))
        self._ask("StartContainer", message({1: number}))
        return number

    def stop(self, container: str) -> None:
        """Send the container its signal and wait for its end."""
        self._ask("StopContainer", message({1: container, 2: 10}))

    def execute(self, container: str, command: Sequence[str]) -> None:
        """Run *command* inside, as `kubectl exec` has it done, to its end."""
        self._ask("ExecSync", message({1: container, 2: command, 3: 30}))
