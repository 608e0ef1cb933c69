"""Runs the command of `record -- COMMAND`: in a cgroup of its own, as the user who asked.

It is forked before the programs are attached, while this process still may change its user, and
waits outside its cgroup. `release` moves it in and lets it go on to its exec, which is the first
thing that it does in there.
"""

from __future__ import annotations

import difflib
import errno
import os
import select
import shutil
import signal
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from ethogram.errors import CaptureError, PreflightError, UsageError
from profiler.identity.hierarchy import Hierarchy
from profiler.invoker import Invoker, environment_of, invoker_of
from profiler.own_cgroup import OwnCgroup

__all__ = ["CommandRun", "resolve_command"]

# What the child says before its exec closes the pipe: how far it got, and an errno.
_SAYS = struct.Struct("<BI")
_READY, _USER_FAILED, _EXEC_FAILED = range(3)
_GO = b"g"
_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# What this process may ignore, and an exec would hand on; Python ignores the first two.
_TO_RESET = (
    signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP,
    signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
)  # fmt: skip
_NAMES_LIMIT = 20_000
_LAST_S = 1.0  # that a killed command is waited for
_HINTS = {
    errno.ENOENT: "its interpreter may be missing: look at its first line, or at `ldd`",
    errno.EACCES: "the invoking user may not execute it",
    errno.ENOEXEC: "begin a script with `#!/bin/sh`",
}


def resolve_command(argv: Sequence[str], *, path: str | None = None) -> str:
    """Return the file that *argv* runs, looked up in *path* (by default `$PATH`).

    `UsageError` where there is none or it is not executable.
    """
    if not argv or not argv[0]:
        raise UsageError("no command is given", hint="name it after `--`")
    if any("\0" in word for word in argv):
        raise UsageError("an argument of the command holds a NUL byte")
    name = argv[0]
    path = os.environ.get("PATH", os.defpath) if path is None else path
    if found := shutil.which(name, path=path):
        return found
    if "/" not in name:
        raise UsageError(f"there is no command `{name}`", hint=_suggestion(name, path))
    if not os.path.lexists(name):
        raise UsageError(f"there is no file `{name}`", hint="give its path, or a name in `$PATH`")
    if Path(name).is_dir():
        raise UsageError(f"`{name}` cannot be run: it is a directory", hint="name a file in it")
    raise UsageError(f"`{name}` cannot be run: it is not executable", hint=f"`chmod +x {name}`")


def _suggestion(name: str, path: str) -> str:
    known: set[str] = set()
    for directory in path.split(os.pathsep):
        try:
            known.update(entry.name for entry in Path(directory or ".").iterdir())
        except OSError:
            continue
        if len(known) > _NAMES_LIMIT:
            break
    guess = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean `{guess[0]}`?" if guess else "give its path, or a name in `$PATH`"


class CommandRun:
    """One run of a command. Use it as a context: leaving it, or `close`, removes the cgroup.

    `cgroup_path` is relative to the mount of the unified hierarchy, like all paths of cgroups.
    """

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._cgroup = OwnCgroup.make(hierarchy)
        self.run_id = self._cgroup.run_id
        self.cgroup_id, self.cgroup_path = self._cgroup.id, self._cgroup.path
        self.pid = 0
        self.pidfd = -1  # readable once the command has ended
        self._go = self._says = -1
        self._name = ""
        self._status: int | None = None
        self._step, self._step_at = 0, 0.0

    # --- beginning -------------------------------------------------------------------------

    @classmethod
    def prepare(
        cls,
        argv: Sequence[str],
        *,
        hierarchy: Hierarchy,
        environ: Mapping[str, str] | None = None,
        spares_stdout: bool = False,
    ) -> Self:
        """Make the cgroup, and fork a process that waits to run *argv* as the invoking user.

        It shares this one's terminal, process group and standard streams, and ends by itself
        should this one die. With *spares_stdout* what it prints goes to standard error.
        `UsageError` where there is no such command; nothing is left then.
        """
        environ = os.environ if environ is None else environ
        file = resolve_command(argv, path=environ.get("PATH", os.defpath))
        invoker = invoker_of(environ, euid=os.geteuid())
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or the exit status would be lost
        run = cls(hierarchy)
        try:
            run._fork(
                file, list(argv), environment_of(invoker, environ), invoker,
                spares_stdout=spares_stdout,
            )  # fmt: skip
        except BaseException:
            run.close()
            raise
        return run

    def _fork(
        self, file: str, argv: list[str], environ: dict[str, str], invoker: Invoker | None,
        *, spares_stdout: bool,
    ) -> None:  # fmt: skip
        self._name = argv[0]
        wait, self._go = os.pipe()
        self._says, say = os.pipe()
        try:
            self.pid = os.fork()
            if self.pid == 0:
                os.close(self._go)
                if spares_stdout:
                    os.dup2(2, 1)
                _be_the_command(
                    wait=wait, say=say, file=file, argv=argv, environ=environ, invoker=invoker
                )
        finally:
            os.close(wait)
            os.close(say)
        self.pidfd = os.pidfd_open(self.pid)
        self._hear()

    def release(self) -> None:
        """Move the command into its cgroup and run it; return when its exec is done.

        `UsageError` where the file cannot be executed: the run is closed then, its cgroup removed.
        A command that was ended while it waited is no error: `poll` tells.
        """
        try:
            self._cgroup.join(self.pid)
            os.write(self._go, _GO)
        except (ProcessLookupError, BrokenPipeError):
            pass  # it has ended
        except OSError as error:
            self.close()
            raise CaptureError(
                f"`{self._name}` cannot be put into its cgroup: {error.strerror}"
            ) from error
        self._close_pipe("_go")
        self._hear()
        self._close_pipe("_says")

    def _hear(self) -> None:
        """Wait for what the child says next; raise, and close, where that is a failure."""
        said = os.read(self._says, _SAYS.size)
        step, number = _SAYS.unpack(said) if len(said) == _SAYS.size else (_READY, 0)
        if step == _READY:
            return
        self.wait()
        self.close()
        reason = os.strerror(number)
        if step == _USER_FAILED:
            raise PreflightError(
                f"`{self._name}` cannot be run as the invoking user: {reason}",
                hint="run ethogram as root, with CAP_SETUID and CAP_SETGID",
            )
        raise UsageError(f"`{self._name}` cannot be run: {reason}", hint=_HINTS.get(number))

    # --- while it runs ---------------------------------------------------------------------

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs or waits to."""
        if self._status is None and self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until it has ended, at most *timeout_s*; return what `poll` does."""
        if self.pidfd >= 0 and self.poll() is None:
            poller = select.poll()
            poller.register(self.pidfd, select.POLLIN)
            poller.poll(None if timeout_s is None else timeout_s * 1000)
        return self.poll()

    def interrupt(self, *, grace_s: float = 5.0) -> signal.Signals | None:
        """Ask the command to end, more firmly each *grace_s*; return the signal that was sent.

        Call it again and again while `poll` gives None: it never waits. SIGINT comes first, then
        SIGTERM, then SIGKILL, and only to the command itself, never to what that started.
        """
        now = time.monotonic()
        if self.poll() is not None or self.pidfd < 0:
            return None
        if self._step and (now - self._step_at < grace_s or self._step == len(_STEPS)):
            return None
        number = _STEPS[self._step]
        self._step, self._step_at = self._step + 1, now
        signal.pidfd_send_signal(self.pidfd, number)
        return number

    def end(self, *, grace_s: float = 5.0) -> None:
        """Interrupt a command that runs until it has ended, or has had SIGKILL for *grace_s*."""
        deadline = time.monotonic() + len(_STEPS) * grace_s + _LAST_S
        while self._go < 0 and self.pidfd >= 0 and self.poll() is None:
            if time.monotonic() > deadline:
                return
            self.interrupt(grace_s=grace_s)
            self.wait(_LAST_S / 10)

    # --- the end ---------------------------------------------------------------------------

    def remove(self) -> bool:
        """Remove the cgroup and what the command made below it; False if processes live in it."""
        return self._cgroup.remove()

    def close(self) -> bool:
        """Give up what is held, and remove the cgroup; what `remove` says.

        A command that was not released never runs. One that runs goes on: end it before.
        """
        waits = self._go >= 0
        self._close_pipe("_go")
        if waits and self.pid:
            self.wait()
        self._close_pipe("_says")
        self.poll()
        self._close_pipe("pidfd")
        return self._cgroup.close()

    def _close_pipe(self, name: str) -> None:
        descriptor: int = getattr(self, name)
        if descriptor >= 0:
            setattr(self, name, -1)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def _be_the_command(
    *,
    wait: int,
    say: int,
    file: str,
    argv: list[str],
    environ: dict[str, str],
    invoker: Invoker | None,
) -> NoReturn:
    """In the child: become the user, wait, exec. Returns to nobody, whatever happens."""
    step, number = _USER_FAILED, errno.EINVAL
    try:
        for reset in _TO_RESET:
            signal.signal(reset, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if invoker is not None:
            invoker.become()
        os.write(say, _SAYS.pack(_READY, 0))
        if os.read(wait, 1) != _GO:
            os._exit(0)
        step = _EXEC_FAILED
        os.execve(file, argv, environ)  # noqa: S606  what to run is what was asked for
    except OSError as error:
        number = error.errno or number
    finally:
        os.write(say, _SAYS.pack(step, number))
        os._exit(127)
