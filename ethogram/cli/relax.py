"""`ethogram relax`: breaks the glass; exported policies refuse nothing, until they are restored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import examples
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.contracts.escape import printable
from ethogram.errors import ExportError, UsageError

if TYPE_CHECKING:
    from ethogram.cli.relaxing import Done, Place
    from ethogram.contracts.exports import IndexEntry

__all__ = ["command"]

_NODE_FOLDER = "/var/lib/kubelet/seccomp"
_UNITS = "/etc/systemd/system"
_NO_REASON = "no reason given"
_LONGEST = 1024


@click.command(
    "relax",
    short_help="Let exported policies log instead of deny, at once, and back.",
    epilog=examples(
        "ethogram relax policies --reason 'INC-4711: checkout does not start'",
        "ethogram relax policies/shop/Deployment-checkout/nginx.seccomp.json",
        "ethogram relax policies --restore",
    ),
)
@click.argument("policies", type=click.Path(exists=True, path_type=Path))
@click.option("--restore", is_flag=True, help="Put back what was relaxed, byte for byte.")
@click.option("--reason", metavar="TEXT", help="Why: for whoever finds the policies relaxed.")
@click.option(
    "--force", is_flag=True, help="Restore a file too that was changed since it was relaxed."
)
def command(*, policies: Path, restore: bool, reason: str | None, force: bool) -> None:
    """Break the glass: make POLICIES, the directory of an export or a file, refuse nothing.

    Policies log or audit what they refused, where their kind can; others stand aside. Their files
    are changed in place, and what they were is kept beside them in `relaxed.json`. Neither
    baselines nor a cluster are needed. The commands that bring it into force are printed, and not
    run.

    Exits with 6 where a policy cannot be relaxed; the others are.
    """
    from datetime import UTC, datetime

    from ethogram.cli.relaxing import place_of, relax
    from ethogram.cli.relaxing import restore as put_back

    if restore and reason is not None:
        raise UsageError(
            "`--reason` is for relaxing", hint="leave it out, or leave out `--restore`"
        )
    if force and not restore:
        raise UsageError("`--force` is for `--restore`", hint="leave it out")
    place = place_of(policies)
    if restore:
        done = put_back(place, force=force)
        for one in done:
            say(f"restored `{place.directory / one.path}`")
        _print_commands(place, done)
        return
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = relax(place, reason=_text(reason), now=now)
    _say_relaxed(place, done)
    _print_commands(place, done)
    refused = [one for one in done if one.refused]
    if refused:
        raise ExportError(
            f"{count(len(refused), 'policy', 'policies')} of {len(done):,} cannot be relaxed",
            hint="see above; the surest way is to delete what was applied",
        )
    next_command(shell("ethogram", "relax", policies, "--restore"), why="when it is over")


def _text(reason: str | None) -> str:
    """Return *reason* as it goes into policies: on one line, and not without an end."""
    text = printable((reason or _NO_REASON).strip() or _NO_REASON)
    if len(text) > _LONGEST:
        raise UsageError(f"the reason is longer than {_LONGEST:,} characters")
    return text


def _say_relaxed(place: Place, done: Sequence[Done]) -> None:
    notes: dict[str, None] = {}
    for one in done:
        path = place.directory / one.path
        if one.refused:
            say(f"left `{path}` as it is: {one.refused.message}")
        elif one.relaxed:
            words = "is relaxed already" if one.was_so else "relaxed"
            say(f"{words}: `{path}`: it {one.relaxed.effect}")
            notes |= dict.fromkeys(one.relaxed.notes)
    for note in notes:
        say(f"note: {note}")


def _print_commands(place: Place, done: Sequence[Done]) -> None:
    """Print the commands that bring the files of *done* into force, and what restarts them."""
    lines = list(_commands(place, done))
    if lines:
        say("to bring it into force:")
    for line in lines:
        print(line)


def _commands(place: Place, done: Sequence[Done]) -> Iterator[str]:
    def route(one: Done) -> str | None:
        return one.relaxed.route if one.relaxed else None

    files = [place.directory / one.path for one in done if route(one) == "kubectl"]
    if files:
        yield shell("kubectl", "apply", *(word for file in files for word in ("-f", file)))
    for one in done:
        if one.relaxed and route(one) == "patch":
            yield _patch(place.directory / one.path, one.relaxed.documents[0], place, one.path)
    drop_ins = [one for one in done if route(one) == "systemd"]
    for one in drop_ins:
        yield _drop_in(place.directory / one.path, place.entries.get(one.path))
    if drop_ins:
        yield "systemctl daemon-reload"
    # A service that is restarted before the reload starts with what it had.
    restarts = dict.fromkeys(_restart_of_unit(place.entries.get(one.path)) for one in drop_ins)
    for one in done:
        path = place.directory / one.path
        if one.relaxed and one.relaxed.needs_restart and one.path in place.entries:
            restarts[_restart(place.entries[one.path].workload_key)] = None
        if route(one) != "node":
            continue
        entry = place.entries.get(one.path)
        if entry is not None and entry.installs_as:
            yield "# on every node:"
            yield shell("install", "-D", "-m", "0644", path, f"{_NODE_FOLDER}/{entry.installs_as}")
        else:
            yield f"# {shell(path)}: where a container's seccomp profile is, then start it again"
    yield from (line for line in restarts if line)


def _drop_in(path: Path, entry: IndexEntry | None) -> str:
    """Return what installs a drop-in."""
    if entry is None or not entry.installs_as:
        return f"# {shell(path)}: where the drop-in is"
    return shell("install", "-D", "-m", "0644", path, f"{_UNITS}/{entry.installs_as}")


def _restart_of_unit(entry: IndexEntry | None) -> str | None:
    """Return, as a comment, the command that starts the service of a drop-in anew."""
    if entry is None or not entry.installs_as:
        return None
    return "# " + shell("systemctl", "restart", entry.installs_as.partition(".d/")[0])


def _patch(path: Path, patch: Mapping[str, Any], place: Place, name: str) -> str:
    """Return the command that patches the workload; a patch for kustomize has no namespace."""
    from ethogram.contracts.keys import parse_workload_key

    metadata = patch.get("metadata")
    said = metadata if isinstance(metadata, Mapping) else {}
    namespace = said.get("namespace")
    if namespace is None and (entry := place.entries.get(name)):
        with suppress(ValueError):
            namespace = parse_workload_key(entry.workload_key).namespace
    words = ["-n", str(namespace)] if namespace else []
    what = (str(patch.get("kind")).lower(), str(said.get("name")))
    return shell("kubectl", *words, "patch", *what, "--patch-file", path)


def _restart(workload_key: str) -> str | None:
    """Return, as a comment, the command that starts the processes of a workload anew."""
    from ethogram.contracts.keys import parse_workload_key

    try:
        key = parse_workload_key(workload_key)
    except ValueError:  # an index that somebody wrote by hand
        return None
    if key.namespace is None or key.kind not in ("Deployment", "StatefulSet", "DaemonSet"):
        return None
    kind = f"{key.kind.lower()}/{key.name}"
    return "# " + shell("kubectl", "-n", key.namespace, "rollout", "restart", kind)
