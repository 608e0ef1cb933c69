"""`ethogram verify`: what policies would have denied of what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.inputs import WORDS, kind_of, use_of
from ethogram.cli.options import Location, examples, format_option, map_option
from ethogram.contracts.escape import escape
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import EthogramError, ExportError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.policy_files import PolicyDocument
    from exporters.replay.observations import Observations
    from exporters.replay.protocol import Policy, Replayer
    from exporters.replay.verdicts import Report

__all__ = ["DENIED", "command"]

DENIED = 12


@click.command(
    "verify",
    short_help="Replay recordings through policies: what would they deny?",
    epilog=examples(
        "ethogram verify policies --against shop.rec",
        "ethogram verify policies --against monday.rec --against tuesday.rec --format json",
        "ethogram verify docker-default.json --against shop.rec",
        "ethogram verify policies --map production.yaml --against production.rec",
        "ethogram verify policies --against shop.rec --pods pods.json",
    ),
)
@click.argument("policies", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--against",
    "recordings",
    required=True,
    multiple=True,
    metavar="RECORDING",
    type=Location(),
    help="What was recorded, here or by URL. May be repeated.",
)
@map_option
@click.option(
    "--pods",
    "pods_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Pods to admit as well: the output of `kubectl get pods -A -o json`.",
)
@format_option("text", "json")
def command(
    *,
    policies: tuple[Path, ...],
    recordings: tuple[Path | RecordingUrl, ...],
    map_file: Path | None,
    pods_file: Path | None,
    output_format: str,
) -> None:
    """Replay what was recorded through POLICIES as their engines would, and say what they deny.

    POLICIES are directories that `export` wrote, or policy files, whoever wrote them. An export's
    index says which workload a profile is for; one without is for every workload recorded.

    Exits with 12 where something would be denied. What could not be judged is counted and shown.
    """
    from exporters.replay.verdicts import replayed

    documents = _mapped(_documents(policies), map_file)
    by_target, unread = _by_target(documents)
    report = replayed(_observations(recordings, _pods(pods_file)), by_target)
    if not report.judged:
        raise _nothing_judged(report, documents)
    idle = sorted({one.path for one in documents} - {*unread, *report.policies})
    if output_format == "json":
        from ethogram.cli.verify_document import print_document

        print_document(report, policies, recordings, unread=unread, idle=idle)
    else:
        from ethogram.cli.verify_screen import print_report

        print_report(report, unread=unread, idle=idle)
    if report.of("denied"):
        click.get_current_context().exit(DENIED)


def _documents(paths: Sequence[Path]) -> list[PolicyDocument]:
    from ethogram.contracts.policy_files import read_policies

    found = [document for path in paths for document in read_policies(path)]
    if not found:
        raise ExportError(f"`{escape(str(paths[0]))}` holds no policy")
    return list({id(one): one for one in found}.values())


def _mapped(documents: list[PolicyDocument], map_file: Path | None) -> list[PolicyDocument]:
    if map_file is None:
        return documents
    from ethogram.contracts.environment import load_environment
    from ethogram.contracts.policy_map import carried_policies

    return carried_policies(documents, load_environment(map_file), str(map_file))


def _by_target(
    documents: Sequence[PolicyDocument],
) -> tuple[dict[str, tuple[Replayer, list[Policy]]], list[str]]:
    """Return the policies by target, and the files of kinds that nobody replays.

    `ExportError` where none of them is replayed.
    """
    from exporters.replay.protocol import Policy
    from exporters.replay.registry import replayer_of, replayers

    found: dict[str, tuple[Replayer, list[Policy]]] = {}
    unread: list[str] = []
    for one in documents:
        replayer = replayer_of(one.path, one.content)
        if replayer is None:
            unread.append(one.path)
            continue
        key, place = (one.entry.workload_key, one.entry.installs_as) if one.entry else (None, None)
        _, policies = found.setdefault(replayer.target, (replayer, []))
        policies.append(Policy(one.path, one.content, key, place))
    if not found:
        raise ExportError(
            f"`{escape(unread[0])}` holds no policy that can be replayed",
            hint="known: " + ", ".join(f"`{name}`" for name in replayers()),
        )
    return found, sorted(set(unread))


def _observations(
    recordings: Sequence[Path | RecordingUrl], pods: Sequence[dict[str, Any]]
) -> list[Observations]:
    from ethogram.contracts.recording import Recording
    from exporters.replay.observations import Observations

    found = []
    for number, place in enumerate(recordings):
        if (kind := kind_of(place)) != "recording":
            raise UsageError(
                f"`{place}` is {WORDS[kind]}, not a recording", hint=use_of(kind, place)
            )
        opened = Recording.open(place)
        found.append(Observations(opened, str(place), () if number else tuple(pods)))
    return found


def _pods(path: Path | None) -> list[dict[str, Any]]:
    if path is None:
        return []
    from ethogram.contracts.policy_files import read_policy

    items = [dict(one.content) for one in read_policy(path)]
    pods = [item for item in items if item.get("kind") == "Pod"]
    if not pods:
        raise UsageError(
            f"`{escape(str(path))}` holds no pods",
            hint="`kubectl get pods -A -o json` prints them",
        )
    return pods


def _nothing_judged(report: Report, documents: Sequence[PolicyDocument]) -> EthogramError:
    """Return that no policy was for anything: silence would pass for consent."""
    reasons = sorted({one.reason for one in report.left_open.values()})
    if reasons:
        return EthogramError(f"nothing was judged: {reasons[0]}")
    keys = sorted({one.entry.workload_key for one in documents if one.entry})
    of_policies = f"the policies are for {keys[0]}" if keys else "no policy picks any"
    there = ", ".join(sorted(report.uncovered)[:3]) or "nobody"
    return EthogramError(
        f"nothing was judged: {of_policies}; recorded were {there}",
        hint="`--map ENV.yaml` carries names to another environment",
    )
