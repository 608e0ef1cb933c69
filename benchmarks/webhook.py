"""What the admission webhook takes: how long reviews wait at a steady rate, and its memory.

The server has one processor, the client another. Reviews are sent when they are due, over TLS
connections that stay; one that is sent late counts from when it was due.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target
from ethogram.contracts.baseline_yaml import dump_baseline
from tests.admission import SELECTOR, make_admission_baseline
from tests.reviews import make_review

__all__ = ["measure"]

RATE = 500
_CONNECTIONS = 8
_READY_S = 30.0
_BATCHES = 10
_HEAD = (
    "POST /validate HTTP/1.1\r\nHost: w\r\nContent-Type: application/json\r\n"
    "Content-Length: {size}\r\n\r\n"
)


@dataclass
class _Server:
    process: subprocess.Popen[bytes]
    port: int
    context: ssl.SSLContext

    def memory_bytes(self) -> int:
        """Return the anonymous memory: what others share of files says nothing of growth."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^RssAnon:\s+(\d+) kB$", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class _Seen:
    """How long each review waited for its answer, and how many answers were none."""

    waits_s: list[float] = field(default_factory=list)
    wrong: int = 0

    def at(self, share: float) -> float:
        ordered = sorted(self.waits_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(directory: Path, *, seconds: int, reviews: int) -> Part:
    """Return the part: *seconds* at a steady rate, then *reviews* as fast as they are answered."""
    part = Part(
        "webhook",
        "What the admission webhook takes",
        f"{RATE} reviews a second for {seconds} s over {_CONNECTIONS} connections, then"
        f" {reviews:,} as fast as they are answered; the server on one processor, with one"
        " baseline, a level and an exemption; bodies of "
        + ", ".join(f"{len(one) / 1000:.1f} kB" for one in _bodies()),
    )
    with _serving(directory) as server:
        asyncio.run(_steady(server, 2))  # what is made once is made
        before_s = server.cpu_s()
        began_s = time.monotonic()
        say(f"webhook: {RATE} reviews a second for {seconds} s")
        steady = asyncio.run(_steady(server, seconds))
        took_s = time.monotonic() - began_s
        share = (server.cpu_s() - before_s) / took_s
        say(f"webhook: {reviews:,} reviews")
        rows, rate, wrong = _fast(server, reviews)
    part.tables += [
        Table(
            (Column("reviews", "count"), Column("a second", "rate"), Column("median", "seconds"),
             Column("p99", "seconds"), Column("p99.9", "seconds"), Column("worst", "seconds"),
             Column("of one processor", "share")),
            ((len(steady.waits_s), len(steady.waits_s) / took_s, steady.at(0.5), steady.at(0.99),
              steady.at(0.999), steady.at(1.0), share),),
            "At a steady rate",
        ),
        Table(
            (Column("after reviews", "count"), Column("memory of its own", "bytes")), tuple(rows),
            "Memory while they are answered as fast as they can be",
        ),
    ]  # fmt: skip
    first, last = rows[1][1], rows[-1][1]
    part.targets += [
        Target("p99 at 500 reviews a second", steady.at(0.99), 0.02, "seconds"),
        Target("memory at the end, of that after a tenth", last / first, 1.02, "ratio"),
        Target("answers that were none", float(steady.wrong + wrong), 0.0, "count"),
    ]
    part.notes.append(f"As fast as they can be: {rate:,.0f} reviews a second on one processor.")
    return part


def _bodies() -> list[bytes]:
    """Return reviews as a cluster has them: pods that are let in, and some that are not."""
    managed = [
        {"manager": "kube-controller-manager", "operation": "Update", "fieldsType": "FieldsV1",
         "fieldsV1": {f"f:field{n}": {".": {}, "f:name": {}} for n in range(30)}}
    ]  # fmt: skip
    found = []
    for number in range(4):
        context: dict[str, Any] = {"allowPrivilegeEscalation": False}
        if number == 3:
            context["privileged"] = True
        containers = [
            {"name": name, "image": f"registry.example/{name}:1", "securityContext": context,
             "env": [{"name": f"VARIABLE_{n}", "value": "x" * 30} for n in range(10)],
             "ports": [{"containerPort": 8080}], "resources": {"limits": {"cpu": "1"}},
             "volumeMounts": [{"name": "a", "mountPath": "/a"}]}
            for name in ("nginx", "sidecar")[: 1 + number % 2]
        ]  # fmt: skip
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"checkout-{number}", "namespace": "shop",
                         "labels": SELECTOR, "managedFields": managed},
            "spec": {"containers": containers, "volumes": [{"name": "a", "emptyDir": {}}],
                     "serviceAccountName": "checkout", "tolerations": []},
        }  # fmt: skip
        found.append(json.dumps(make_review(pod)).encode())
    return found


@contextmanager
def _serving(directory: Path) -> Iterator[_Server]:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(directory / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(directory / "tls.crt")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    baseline = make_admission_baseline("CAP_NET_BIND_SERVICE", subject={"namespace": "shop"})
    (directory / "checkout.baseline.yaml").write_text(dump_baseline(baseline))
    ready = directory / "ready"
    (directory / "webhook.yaml").write_text(
        "schema: ethogram.webhook/1\n"
        "tls: {certificate: tls.crt, key: tls.key}\n"
        'listen: "127.0.0.1:0"\n'
        "mode: enforce\n"
        "learnt: {baselines: [checkout.baseline.yaml]}\n"
        "rules: {learnt-seccomp: warn}\n"
        f'sinks: ["file:{directory}/findings.jsonl"]\nspool: spool\n'
        "exemptions:\n"
        "  - {namespace: lab, rules: [privileged], owner: a, reason: b, expires: '2099-01-31'}\n"
    )
    code = "from ethogram.cli import main; main()"
    command = ["taskset", "-c", "0", sys.executable, "-P", "-c", code, "webhook",
               "--config", str(directory / "webhook.yaml"), "--ready-file", str(ready)]  # fmt: skip
    mine = os.sched_getaffinity(0)
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            port = 0
            for line in process.stderr:
                if b"https://" in line:
                    port = int(line.rpartition(b":")[2].partition(b"/")[0])
                    break
            assert port, "the webhook did not begin"
            if len(mine) > 1:
                os.sched_setaffinity(0, mine - {0})
            yield _Server(process, port, context)
        finally:
            os.sched_setaffinity(0, mine)
            process.send_signal(signal.SIGTERM)
            process.communicate()


class _Client:
    """One connection that stays."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, server: _Server) -> _Client:
        return cls(*await asyncio.open_connection("localhost", server.port, ssl=server.context))

    async def ask(self, body: bytes) -> bool:
        """Return whether the answer to *body* is one."""
        head = _HEAD.format(size=len(body)).encode()
        self._writer.write(head + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        size = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        content = await self._reader.readexactly(size)
        return answer.startswith(b"HTTP/1.1 200") and b'"allowed":' in content

    def close(self) -> None:
        self._writer.close()


async def _steady(server: _Server, seconds: int) -> _Seen:
    """Send reviews when they are due, each over the next connection that is free."""
    seen, bodies = _Seen(), _bodies()
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def work() -> None:
        client = await _Client.to(server)
        while (one := await due.get()) is not None:
            seen.wrong += not await client.ask(one[1])
            seen.waits_s.append(loop.time() - one[0])
        client.close()

    workers = [loop.create_task(work()) for _ in range(_CONNECTIONS)]
    began_s = loop.time() + 0.5
    for number in range(RATE * seconds):
        at_s = began_s + number / RATE
        if (left := at_s - loop.time()) > 0:
            await asyncio.sleep(left)
        due.put_nowait((at_s, bodies[number % len(bodies)]))
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)
    return seen


def _fast(server: _Server, reviews: int) -> tuple[list[tuple[int, int]], float, int]:
    """Return the memory after each tenth of *reviews*, how many a second, and what went wrong."""
    rows = [(0, server.memory_bytes())]
    wrong, took_s = 0, 0.0
    for number in range(1, _BATCHES + 1):
        began_s = time.monotonic()
        wrong += asyncio.run(_burst(server, reviews // _BATCHES))
        took_s += time.monotonic() - began_s
        rows.append((number * (reviews // _BATCHES), server.memory_bytes()))
    return rows, rows[-1][0] / took_s, wrong


async def _burst(server: _Server, reviews: int) -> int:
    bodies = _bodies()

    async def work(number: int) -> int:
        client = await _Client.to(server)
        wrong = 0
        for index in range(reviews // _CONNECTIONS):
            wrong += not await client.ask(bodies[(index + number) % len(bodies)])
        client.close()
        return wrong

    return sum(await asyncio.gather(*(work(number) for number in range(_CONNECTIONS))))
