"""`ethogram audit`: what Kubernetes objects ask for that they should not, and do not use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.kubernetes_option import KubernetesChoice, Where
from ethogram.cli.options import Location, examples, force_option, format_option
from ethogram.cli.screen import count, say
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from ethogram.posture.audit import Judge
    from ethogram.posture.findings import Report, Unreadable
    from ethogram.posture.objects import World

__all__ = ["ABOVE_THRESHOLD", "UNREADABLE", "command"]

ABOVE_THRESHOLD, UNREADABLE = 12, 1
# As `contracts.finding` has them, which loads too much for `--help`.
_SEVERITIES = ("info", "low", "medium", "high", "critical")
_FORMATS = ("table", "json", "sarif", "markdown", "openreports", "ocsf")
_ANYWHERE = "auto"


class _Cluster(KubernetesChoice):
    """As `--kubernetes` has it, or nothing: what is at hand."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Where:
        if value == _ANYWHERE:
            import os

            is_pod = "KUBERNETES_SERVICE_HOST" in os.environ
            value = "in-cluster" if is_pod else "kubeconfig"
        where = super().convert(value, param, ctx)
        if where.kind == "kubelet":
            self.fail("a kubelet knows the pods of its node alone", param, ctx)
        return where


@click.command(
    "audit",
    short_help="Judge Kubernetes objects, by what was used of what they ask for.",
    epilog=examples(
        "ethogram audit deploy/",
        "kubectl kustomize overlays/production | ethogram audit - --fail-on high",
        "ethogram audit deploy/ --baseline baselines --patches patches",
        "ethogram audit --cluster --recording monday-recording --format markdown",
        "ethogram audit deploy/ --level baseline --kubernetes-version 1.33 --format sarif",
    ),
)
@click.argument("places", metavar="[PATH|-]...", nargs=-1)
@click.option(
    "--cluster",
    type=_Cluster(),
    is_flag=False,
    flag_value=_ANYWHERE,
    metavar="[WHERE]",
    help="Read a live cluster, by lists alone: `in-cluster` or `kubeconfig[=FILE][#CONTEXT]`; "
    "without a value the one of these that is at hand.",
)
@click.option(
    "--recording",
    "recordings",
    multiple=True,
    metavar="REC|SUMMARY",
    type=Location(),
    help="Say what was used, by this recording. May be repeated.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help="Say what was used, by baselines. May be repeated.",
)
@click.option(
    "--level",
    type=click.Choice(("privileged", "baseline", "restricted")),
    default="restricted",
    show_default=True,
    help="The level of the Pod Security Standards to ask for; `privileged` asks for none.",
)
@click.option(
    "--kubernetes-version",
    "version",
    default="latest",
    show_default=True,
    metavar="VERSION",
    help="The version of the standards, such as `1.33`; it decides which CIS benchmark is named.",
)
@click.option(
    "--exemptions",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Decisions that something may stay, each with an owner, a reason and a last day.",
)
@click.option(
    "--ignore-annotations",
    is_flag=True,
    help="Take no exemption from annotations: whoever writes an object writes those.",
)
@click.option(
    "--fail-on",
    type=click.Choice(_SEVERITIES),
    help="Exit with code 12 where a finding that nobody exempted is at least as grave.",
)
@click.option(
    "--patches",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write one patch for each owner to.",
)
@force_option
@format_option(*_FORMATS)
def command(
    *,
    places: tuple[str, ...],
    cluster: Where | None,
    recordings: tuple[Path | RecordingUrl, ...],
    baselines: tuple[Path, ...],
    level: str,
    version: str,
    exemptions: Path | None,
    ignore_annotations: bool,
    fail_on: str | None,
    patches: Path | None,
    force: bool,
    output_format: str,
) -> None:
    """Say what pods, namespaces, roles and webhooks ask for that they should not.

    PATH is a manifest, a directory of them, or `-` for standard input; several documents and Lists
    are read as they are. With recordings or baselines it says of each finding whether it was used,
    and the patch takes away only what was not.

    Exits with 0, with 12 by `--fail-on`, and else with 1 where something could not be read.
    """
    from ethogram.posture.audit import audit
    from ethogram.posture.exemptions import load_exemptions
    from ethogram.posture.standards import LEVELS, version_of

    if bool(places) == (cluster is not None):
        raise UsageError(
            "`audit` needs manifests, or `--cluster`, and not both",
            hint="name files and directories, `-` for standard input, or pass `--cluster`",
        )
    asked = version_of(version)
    exempted = load_exemptions(exemptions) if exemptions else ()
    judge = _judge(recordings, baselines)
    world, unreadable = _read(places, cluster)
    report = audit(
        world,
        level=next(one for one in LEVELS if one == level),
        version=asked,
        now=datetime.now(UTC),
        exemptions=exempted,
        source=str(exemptions or ""),
        heed_annotations=not ignore_annotations,
        judge=judge,
        unreadable=unreadable,
    )
    if patches is not None:
        from ethogram.cli.audit_patches import write_patches

        write_patches(report, patches, force=force)
    _print(report, output_format)
    _exit(report, fail_on)


def _read(places: Sequence[str], where: Where | None) -> tuple[World, list[Unreadable]]:
    from ethogram.cli.audit_inputs import read_cluster, read_manifests

    if where is None:
        return read_manifests(places)
    from profiler.cluster.access import in_cluster
    from profiler.cluster.client import ReadOnlyClient
    from profiler.cluster.kubeconfig import from_kubeconfig

    is_pod = where.kind == "in-cluster"
    access = in_cluster() if is_pod else from_kubeconfig(where.file, where.context)
    client = ReadOnlyClient(access)
    try:
        return read_cluster(client)
    finally:
        client.close()


def _judge(recordings: Sequence[Path | RecordingUrl], baselines: Sequence[Path]) -> Judge | None:
    """Return what says what was used; None where nothing does."""
    if not recordings and not baselines:
        return None
    from exporters.posture_evidence import UsedBy

    found: list[Baseline] = []
    if baselines:
        from ethogram.contracts.baseline import load_baselines
        from ethogram.contracts.overlays import in_force

        today = datetime.now(UTC).date()
        for place in baselines:
            found += [in_force(one, today) for _, one in load_baselines(place)]
    if recordings:
        from ethogram.cli.inputs import learnt_from

        found += learnt_from(recordings)
    return UsedBy(tuple(found))


def _print(report: Report, output_format: str) -> None:
    if output_format == "table":
        from ethogram.cli.audit_screen import print_report

        print_report(report)
        return
    from ethogram.cli.audit_documents import document_of

    sys.stdout.write(document_of(report, output_format, now=datetime.now(UTC)))


def _exit(report: Report, fail_on: str | None) -> None:
    for one in report.unreadable:
        say(f"warning: `{one.place}` could not be read: {one.cause}")
    context = click.get_current_context()
    if fail_on is not None:
        least = _SEVERITIES.index(fail_on)
        if grave := [one for one in report.open if one.rank >= least]:
            say(f"failed: {count(len(grave), 'finding')} at or above `--fail-on {fail_on}`")
            context.exit(ABOVE_THRESHOLD)
    if report.unreadable:
        context.exit(UNREADABLE)
