"""An API server at its HTTP edge: lists in parts, watches, bookmarks, 410, and what goes wrong.

It speaks TLS with a certificate of its own, and wants a token. What it has is set by `put` and
`delete`, and of a node by merge patches, too; each change has a version. `compact` forgets what
came before, as etcd does.
"""

from __future__ import annotations

import json
import queue
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme
import yaml

__all__ = ["ApiServer"]

TOKEN = "a-token"
_PATHS = {
    "Pod": "/api/v1/pods",
    "Node": "/api/v1/nodes",
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "Job": "/apis/batch/v1/jobs",
    "CronJob": "/apis/batch/v1/cronjobs",
    "Namespace": "/api/v1/namespaces",
    "ReplicationController": "/api/v1/replicationcontrollers",
    "ServiceAccount": "/api/v1/serviceaccounts",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/roles",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/"
    "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/"
    "validatingwebhookconfigurations",
}
_KINDS = {path: kind for kind, path in _PATHS.items()} | {"/pods": "Pod"}


class ApiServer:
    """A context manager: serves on loopback between its beginning and its end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Condition()
        self._objects: dict[str, dict[tuple[str, str], dict[str, Any]]] = {k: {} for k in _PATHS}
        self._events: list[tuple[int, str, str, dict[str, Any]]] = []
        self._version = 1
        self._oldest = 0
        self._watches: set[queue.Queue[None]] = set()
        self.requests: Counter[str] = (
            Counter()
        )  # by kind and what was asked: `list`, `watch`, `get`, `patch`
        self.queries: list[dict[str, str]] = []
        self.refuses: dict[str, int] = {}  # kind: status
        self.garbage: dict[str, bytes] = {}  # kind: what is answered instead
        self.is_down = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def do_PATCH(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.ca = directory / "ca.crt"
        authority.cert_pem.write_to_path(str(self.ca))
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.socket = context.wrap_socket(
            self._http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> ApiServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # --- for tests ---------------------------------------------------------------------------

    def account(self) -> Path:
        """Return a directory as a pod's service account has it."""
        (self._directory / "token").write_text(f"{TOKEN}\n")
        return self._directory

    def kubeconfig(self, **user: Any) -> Path:
        """Return a kubeconfig for this server."""
        path = self._directory / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [
                {
                    "name": "here",
                    "cluster": {
                        "server": f"https://127.0.0.1:{self.port}",
                        "certificate-authority": "ca.crt",
                    },
                }
            ],
            "users": [{"name": "me", "user": user or {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def put(self, *items: dict[str, Any]) -> None:
        """Make or change objects, each with its `kind`."""
        with self._lock:
            for item in items:
                known = self._objects[item["kind"]]
                key = _key(item)
                self._happened("MODIFIED" if key in known else "ADDED", item)
                known[key] = item
            self._lock.notify_all()

    def delete(self, *items: dict[str, Any]) -> None:
        with self._lock:
            for item in items:
                del self._objects[item["kind"]][_key(item)]
                self._happened("DELETED", item)
            self._lock.notify_all()

    def compact(self) -> None:
        """Forget what happened; whoever watches from before gets 410."""
        with self._lock:
            self._events.clear()
            self._oldest = self._version

    def drop(self) -> None:
        """End every watch in the middle."""
        with self._lock:
            for watch in self._watches:
                watch.put(None)
            self._lock.notify_all()

    def _happened(self, what: str, item: dict[str, Any]) -> None:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, item["kind"], what, json.loads(json.dumps(item))))

    # --- one request -------------------------------------------------------------------------

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        query = dict(parse_qsl(parts.query))
        kind = _KINDS.get(parts.path, "")
        if self.is_down:
            request.close_connection = True
            return
        place, _, name = parts.path.rpartition("/")
        if not kind and _KINDS.get(place) == "Node":
            kind, asked = "Node", "get" if request.command == "GET" else "patch"
        else:
            name, asked = "", "watch" if "watch" in query else "list"
        patch = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        self.requests[f"{kind} {asked}"] += 1
        self.queries.append({"path": parts.path, **query})
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._status(request, 401, "Unauthorized")
        elif kind in self.refuses:
            self._status(request, self.refuses[kind], f"no {kind} for you")
        elif kind in self.garbage:
            self._send(request, self.garbage[kind])
        elif not kind:
            self._status(request, 404, "the server could not find the requested resource")
        elif name:
            self._one(request, kind, unquote(name), patch)
        elif "watch" in query:
            self._watch(request, kind, query)
        else:
            self._list(request, kind, query)

    def _one(self, request: BaseHTTPRequestHandler, kind: str, name: str, patch: bytes) -> None:
        """Answer with one object, after *patch* was merged into it."""
        with self._lock:
            item = self._objects[kind].get(("", name))
        if item is None:
            self._status(request, 404, f"{kind} {name!r} not found")
            return
        if request.command == "PATCH":
            assert request.headers["Content-Type"] == "application/merge-patch+json"
            item = _merged(item, json.loads(patch))
            self.put(item)
        self._send(request, json.dumps(item).encode())

    def _list(self, request: BaseHTTPRequestHandler, kind: str, query: dict[str, str]) -> None:
        with self._lock:
            items = [one for _, one in sorted(self._objects[kind].items()) if _fits(one, query)]
            version = str(self._version)
        first = int(query.get("continue", "0"))
        end = first + int(query.get("limit", "1000000"))
        metadata = {"resourceVersion": version}
        if end < len(items):
            metadata["continue"] = str(end)
        part = [{k: v for k, v in one.items() if k != "kind"} for one in items[first:end]]
        body = {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": part}
        self._send(request, json.dumps(body).encode())

    def _watch(self, request: BaseHTTPRequestHandler, kind: str, query: dict[str, str]) -> None:
        version = int(query["resourceVersion"])
        ended: queue.Queue[None] = queue.Queue()
        with self._lock:
            self._watches.add(ended)
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            for event in self._following(kind, version, query, ended):
                line = json.dumps(event).encode() + b"\n"
                request.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        except OSError:
            pass
        finally:
            request.close_connection = True
            with self._lock:
                self._watches.discard(ended)

    def _following(
        self, kind: str, version: int, query: dict[str, str], ended: queue.Queue[None]
    ) -> Iterator[dict[str, Any]]:
        while ended.empty():
            with self._lock:
                if version < self._oldest:
                    gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
                    yield {"type": "ERROR", "object": gone}
                    return
                new = [one for one in self._events if one[0] > version]
                if not new:
                    self._lock.wait(timeout=10)
                    continue
                version = self._version
            for _, of_kind, what, item in new:
                if of_kind == kind and _fits(item, query):
                    yield {"type": what, "object": item}
            mark = {"kind": kind, "metadata": {"resourceVersion": str(version)}}
            yield {"type": "BOOKMARK", "object": mark}

    def _status(self, request: BaseHTTPRequestHandler, status: int, message: str) -> None:
        body = {"kind": "Status", "code": status, "message": message}
        self._send(request, json.dumps(body).encode(), status)

    def _send(self, request: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _merged(item: Any, patch: Any) -> Any:
    """Return *item* after the merge patch *patch* (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    made = dict(item) if isinstance(item, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made


def _fits(item: dict[str, Any], query: dict[str, str]) -> bool:
    name, _, value = query.get("fieldSelector", "").partition("=")
    return name != "spec.nodeName" or item["spec"].get("nodeName") == value
