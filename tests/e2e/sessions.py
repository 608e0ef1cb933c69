"""Exec sessions in containers, with the privileges of the container itself."""

from __future__ import annotations

import subprocess

from demo.commands import run
from demo.containers import COMMANDS, Container

__all__ = ["enter"]


def enter(container: Container, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run *words* inside with the privileges of the container itself."""
    # crun forgets no_new_privs for a session unless it is told, runc does not.
    is_told = container.runtime == "crun" and container.spec.no_new_privileges
    flags = ["--no-new-privs"] if is_told else []
    command = [*COMMANDS[container.runtime], "exec", *flags, container.container_id, *words]
    return run(*command, check=False)
