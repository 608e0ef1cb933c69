"""Runs the command line and turns whatever escapes a command into a message and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ethogram.cli.group import cli, closest
from ethogram.contracts.escape import printable
from ethogram.errors import EthogramError, UsageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["run"]

INTERRUPTED = 128 + signal.SIGINT
NOBODY_READS = 128 + signal.SIGPIPE
_REFUSED = "check its permissions, or name another place"
_OS_HINTS = {
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: _REFUSED,
    errno.ENOSPC: "free space, or name another place",
    errno.EDQUOT: "free space, or name another place",
    errno.EMFILE: "raise the limit, as with `ulimit -n 1024`",
}


def run(arguments: Sequence[str]) -> int:
    """Run the command line with *arguments* and return its exit code; never raises."""
    _open_closed_streams()
    _forgive_messages()
    code = 0
    try:
        code = _invoke(list(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read standard output left.
        _abandon_output()
        return NOBODY_READS
    except OSError as error:
        _abandon_output()
        return code or _report(OSError(error.errno, error.strerror, "standard output"))
    return code


def _abandon_output() -> None:
    """Let nothing be written to standard output any more: Python would complain again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Messages(io.FileIO):
    """Standard error. What cannot be written there, to a full disk say, ends nothing."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write *data* where that can be done; a reader who left is told of."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return memoryview(data).nbytes


def _forgive_messages() -> None:
    """Let the real standard error, where it is in use, forgive what it cannot write."""
    real = sys.stderr
    if real is not sys.__stderr__ or not isinstance(real, io.TextIOWrapper):
        return
    raw = io.BufferedWriter(_Messages(real.fileno(), "w", closefd=False))
    sys.stderr = io.TextIOWrapper(
        raw, encoding=real.encoding, errors=real.errors, line_buffering=True
    )


def _open_closed_streams() -> None:
    """Put /dev/null where a standard stream is closed: no file of ours may become one by chance."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _invoke(arguments: list[str]) -> int:
    try:
        with cli.make_context("ethogram", arguments) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else "", file=sys.stderr)
        return UsageError.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        return _report(error)
    return 0


def _report(error: Exception) -> int:
    """Print *error* on standard error and return its exit code."""
    if os.environ.get("ETHOGRAM_TRACEBACK") == "1":
        traceback.print_exception(error)
    foreseen = _foreseen(error)
    print(f"error: {_one_line(foreseen.message)}", file=sys.stderr)
    if foreseen.log and sys.stderr.isatty():
        print(*(f"  {printable(line)}" for line in foreseen.log.splitlines()), sep="\n",
              file=sys.stderr)  # fmt: skip
    if foreseen.hint:
        print(f"\nhint: {_one_line(foreseen.hint)}", file=sys.stderr)
    return foreseen.exit_code


def _foreseen(error: Exception) -> EthogramError:
    match error:
        case EthogramError():
            return error
        case click.ClickException():
            return _of_click(error)
        case OSError() if error.filename is not None:
            name = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "?"
            return EthogramError(
                f"`{name}`: {(error.strerror or str(error)).lower()}",
                hint=_OS_HINTS.get(error.errno or 0, "check the path"),
            )
        case OSError() if error.strerror is not None:
            return EthogramError(error.strerror.lower(), hint=_OS_HINTS.get(error.errno or 0))
    return EthogramError(
        f"internal error: {type(error).__name__}: {error}",
        hint="this is a bug in ethogram; `ETHOGRAM_TRACEBACK=1` shows where it is",
    )


def _of_click(error: click.ClickException) -> UsageError:
    """Say what click says in the words of this command line."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "ethogram"
    hint = f"`{path} --help` lists what it takes"
    match error:
        case click.NoSuchOption():
            known = [name for option in (context.command.params if context else ())
                     for name in option.opts if name.startswith("--")]  # fmt: skip
            guess = closest(error.option_name, known)
            hint = f"did you mean `{guess}`?" if guess else hint
            return UsageError(f"`{path}` has no option `{error.option_name}`", hint=hint)
        case click.MissingParameter():
            return UsageError(f"`{path}` needs {_parameter(error)}", hint=hint)
        case click.BadParameter():
            return UsageError(f"{_parameter(error)}: {_lower(error.message)}", hint=hint)
    return UsageError(_lower(error.format_message()), hint=hint)


def _parameter(error: click.BadParameter) -> str:
    if error.param is None:
        return "the command line"
    named = next((name for name in reversed(error.param.opts) if name.startswith("-")), None)
    return f"`{named or error.param.make_metavar(error.ctx)}`" if error.ctx else f"`{named}`"


def _lower(message: str) -> str:
    """Return click's *message* without its capital and full stop, its quotes as backticks."""
    return (message[:1].lower() + message[1:]).rstrip(".").replace("'", "`")


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()) if "\n" in text else text)
