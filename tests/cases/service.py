"""The benign service that every container of the cases runs: a web server and its own client.

It reads its configuration and its token, serves a few requests over loopback, writes a log, and
replaces its state now and then. In between it runs the jobs in `JOBS` (JSON, `[[id, script]...]`)
as a web server that is talked into something does: as children. A line `@case ID start|end NS
[STATUS]` on standard output says when, in nanoseconds of the wall clock.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

CONFIG = Path("/etc/app/config.json")
TOKEN = Path("/run/secrets/kubernetes.io/serviceaccount/token")
LOG = Path("/var/log/app/access.log")
STATE = Path("/var/lib/app/state.json")
ROUND_SECONDS = 0.25
WARM_UP_ROUNDS = 3


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "greeting": settings["greeting"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:
        with LOG.open("a") as log:
            log.write(format % words + "\n")


def serve_a_round(number: int) -> None:
    for page in ("", "health", "cart"):
        url = f"http://127.0.0.1:{settings['port']}/{page}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            answer.read()
    if number % 4 == 0:
        descriptor, name = tempfile.mkstemp(dir=STATE.parent, prefix="state.")
        os.write(descriptor, json.dumps({"rounds": number}).encode())
        os.close(descriptor)
        Path(name).replace(STATE)


def run_jobs(jobs: list[list[str]]) -> None:
    for name, script in jobs:
        print(f"@case {name} start {time.time_ns()}", flush=True)
        done = subprocess.run(["/bin/bash", "-c", script], stdin=subprocess.DEVNULL, check=False)
        print(f"@case {name} end {time.time_ns()} {done.returncode}", flush=True)


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", settings["port"]), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    assert TOKEN.read_text()
    number = 0
    while not ended.wait(ROUND_SECONDS):
        serve_a_round(number)
        number += 1
        if number == WARM_UP_ROUNDS:
            run_jobs(json.loads(os.environ.get("JOBS", "[]")))
    server.shutdown()
    sys.exit(0)


settings = json.loads(CONFIG.read_text())
main()
