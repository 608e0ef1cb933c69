"""`ethogram export`: policies that allow just what a baseline allows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.inputs import kind_of
from ethogram.cli.options import examples, force_option
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.contracts.escape import printable
from ethogram.errors import ExportError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.exports import Artifact, Plan
    from exporters.protocol import Exporter, Finding, Options

__all__ = ["command"]


@click.command(
    "export",
    short_help="Write policies that allow just what a baseline allows.",
    epilog=examples(
        "ethogram export baselines --to seccomp -o policies",
        "ethogram export baselines --to seccomp --runtime runc=1.1.5 -o policies --enforce --force",
        "ethogram export baselines --to seccomp --runtime runc=1.1.5 -o policies --enforce --check",
    ),
)
@click.argument("baseline", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to",
    "targets",
    required=True,
    multiple=True,
    metavar="TARGET",
    help="Kind of policy, such as `seccomp`. May be repeated.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write the policies and their index to.",
)
@click.option("--enforce", is_flag=True, help="Deny; without it policies only log.")
@click.option(
    "--runtime",
    metavar="NAME=VERSION",
    help="Container runtime that will apply the policy, such as `runc=1.1.5`.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the target's own. May be repeated.",
)
@click.option("--allow-lossy", is_flag=True, help="Write what the target can express of it.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--check", is_flag=True, help="Exit with code 5 where DIR is not what this writes.")
@force_option
def command(
    *,
    baseline: Path,
    targets: tuple[str, ...],
    output: Path,
    enforce: bool,
    runtime: str | None,
    settings: tuple[str, ...],
    allow_lossy: bool,
    dry_run: bool,
    check: bool,
    force: bool,
) -> None:
    """Write policies for BASELINE, a file or a directory of `*.baseline.yaml`.

    The same baseline gives the same bytes. What a target cannot express is said, and refused
    unless `--allow-lossy` is given.
    """
    from ethogram.contracts.exports import check_plan, plan, write_plan

    if check and dry_run:
        raise UsageError("`--check` and `--dry-run` are different questions", hint="ask one")
    pairs = [*settings, *([f"runtime={runtime}"] if runtime is not None else [])]
    exporters = _exporters(targets, pairs, enforce=enforce)
    planned = plan(output, _artifacts(baseline, exporters, allow_lossy=allow_lossy))
    if check:
        check_plan(planned)
        say(f"`{output}` is up to date: {count(len(planned.changes), 'file')}")
        return
    if dry_run:
        _print_plan(planned)
        say("nothing was written")
        return
    written = set(write_plan(planned, force=force))
    for change in planned.changes:
        state = "wrote" if change.artifact.path in written else "unchanged"
        say(f"{state} `{output / change.artifact.path}`")
    _say_next(planned, baseline, targets, pairs, enforce=enforce)


def _exporters(
    targets: Sequence[str], pairs: Sequence[str], *, enforce: bool
) -> list[tuple[Exporter, Options]]:
    """Return each target's exporter with its options; a setting goes to those that know it."""
    from exporters.registry import find_exporter, parse_options

    found = [find_exporter(name) for name in dict.fromkeys(targets)]
    known = {setting for exporter in found for setting in exporter.settings}
    strange = [pair for pair in pairs if pair.partition("=")[0] not in known]
    return [
        (
            exporter,
            parse_options(
                exporter,
                [pair for pair in pairs if pair.partition("=")[0] in exporter.settings] + strange,
                enforce=enforce,
            ),
        )
        for exporter in found
    ]


def _artifacts(
    path: Path, exporters: Sequence[tuple[Exporter, Options]], *, allow_lossy: bool
) -> Iterator[tuple[Artifact, str]]:
    """Yield every policy with its baseline's digest, then say what was found."""
    from ethogram.cli.baseline_screen import subject_of
    from ethogram.contracts.baseline import load_baselines
    from ethogram.contracts.exports import Artifact

    if kind_of(path) not in {"baseline", "baselines"}:
        raise UsageError(
            f"`{path}` is a {kind_of(path)}, not a baseline",
            hint=f"`{shell('ethogram', 'learn', path, '-o', 'baselines')}` makes one of it",
        )
    findings: dict[tuple[str, Finding], list[str]] = {}
    loaded = load_baselines(path)
    for file, baseline in loaded:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        for exporter, options in exporters:
            for item in exporter.export(baseline, options):
                if isinstance(item, Artifact):
                    yield item, digest
                else:
                    findings.setdefault((exporter.name, item), []).append(subject_of(baseline))
    for (target, finding), subjects in findings.items():
        _say_finding(target, finding, subjects if len(loaded) > 1 else [])
    losses = sum(len(who) for (_, found), who in findings.items() if found.severity == "loss")
    if losses and not allow_lossy:
        raise ExportError(
            f"{count(losses, 'rule')} cannot be expressed, and nothing was written",
            hint="pass `--allow-lossy` to write the rest",
        )


def _say_finding(target: str, finding: Finding, subjects: Sequence[str]) -> None:
    """Print *finding*, and whom it is about where that is one of many *subjects*."""
    about = f" ({printable(finding.subject)})" if finding.subject else ""
    match subjects:
        case [one]:
            about += f" ({one})"
        case [_, _, *_]:
            about += f" ({len(subjects)} times)"
    say(f"{finding.severity}: {target}: {printable(finding.message)}{about}")
    if finding.hint:
        say(f"  hint: {printable(finding.hint)}")


def _print_plan(planned: Plan) -> None:
    for change in planned.changes:
        print(f"{change.state}\t{planned.directory / change.artifact.path}")


def _option_of(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return ("--runtime", value) if name == "runtime" else ("--set", pair)


def _say_next(
    planned: Plan, baseline: Path, targets: Sequence[str], pairs: Sequence[str], *, enforce: bool
) -> None:
    words = ["ethogram", "export", str(baseline)]
    words += [word for target in targets for word in ("--to", target)]
    words += [word for pair in pairs for word in _option_of(pair)]
    words += ["-o", str(planned.directory)]
    if enforce:
        next_command(shell(*words, "--enforce", "--check"), why="in CI: is it up to date?")
    else:
        next_command(
            shell(*words, "--enforce", "--force"), why="it logs; once nothing shows, let it deny"
        )
