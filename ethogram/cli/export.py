"""`ethogram export`: policies that allow just what a baseline allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.export_review import Review, review_options
from ethogram.cli.exporting import FLAGS, artifacts, chosen_exporters, words_about_enforcing
from ethogram.cli.inputs import WORDS, kind_of, use_of
from ethogram.cli.options import examples, map_option
from ethogram.cli.refusals import allow_options, told_to_allow, were_allowed
from ethogram.cli.runtimes import portable
from ethogram.cli.screen import next_command, shell
from ethogram.cli.verify_key import baselines_in, verify_key_option
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline

__all__ = ["command"]


@click.command(
    "export",
    short_help="Write policies that allow just what a baseline allows.",
    epilog=examples(
        "ethogram export baselines --to seccomp -o policies",
        "ethogram export baselines --to seccomp --runtime runc@1.1.5 -o policies --enforce --force",
        "ethogram export baselines --to seccomp --runtime runc@1.1.5 -o policies --enforce --check",
        "ethogram export baselines --to seccomp -o policies --dry-run",
        "ethogram export baselines --to seccomp -o policies --check --summary comment.md",
        "ethogram export baselines --to seccomp -o policies --base policies --force",
        "ethogram export baselines --to networkpolicy --map production.yaml -o policies",
        "ethogram export baselines --to seccomp --to admission --mode warn -o policies",
    ),
)
@click.argument("baseline", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to",
    "targets",
    required=True,
    multiple=True,
    metavar="TARGET",
    help="Kind of policy: `seccomp`, `networkpolicy`, `cilium`, `admission`, `kyverno`,"
    " `gatekeeper`, `securitycontext`, `systemd`. May be repeated.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write the policies and their index to.",
)
@map_option
@click.option("--enforce", is_flag=True, help="Deny; without it policies log where they can.")
@click.option(
    "--runtime",
    metavar="NAME@VERSION",
    help="Container runtime that will apply the policy, such as `runc@1.1.5`; several with commas"
    " between them, or `auto`: those that the baseline was observed under.",
)
@click.option(
    "--dialect",
    type=click.Choice(["oci", "docker", "spo", "spo-v1beta1"]),
    help="How a seccomp profile is written: for every runtime, for Docker and podman, or as an"
    " object of the Security Profiles Operator.",
)
@click.option(
    "--mode",
    type=click.Choice(["audit", "warn", "deny"]),
    help="What admission does about a pod that a policy refuses.",
)
@click.option(
    "--bind-digest",
    is_flag=True,
    help="Refuse images whose digest was not learnt; without it they are audited.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of a target's own. May be repeated.",
)
@allow_options
@review_options
@verify_key_option
def command(
    *,
    baseline: Path,
    targets: tuple[str, ...],
    output: Path,
    map_file: Path | None,
    enforce: bool,
    runtime: str | None,
    dialect: str | None,
    mode: str | None,
    bind_digest: bool,
    settings: tuple[str, ...],
    allowances: tuple[tuple[str, ...], ...],
    allow_lossy: bool,
    verify_keys: tuple[Path, ...],
    **review: Any,
) -> None:
    """Write policies for BASELINE, a file or a directory of `*.baseline.yaml`.

    The same baseline gives the same bytes. Refused unless `--allow` says so: a baseline that is
    thin, lossy or was learnt under a filter that refused calls; and what a target cannot express.
    A setting goes to the targets that know it.
    """
    from ethogram.contracts.exports import plan

    asked = Review(**review)
    pairs = [*settings]
    named = (("runtime", runtime), ("dialect", dialect), ("mode", mode))
    pairs += [f"{name}={value}" for name, value in named if value is not None]
    pairs += ["bind-digest=true"] if bind_digest else []
    exporters = chosen_exporters(targets, pairs, enforce=enforce)
    for_peers = any("peers" in exporter.dimensions for exporter, _ in exporters)
    loaded = _baselines(baseline, map_file, verify_keys, for_peers=for_peers)
    allowed = told_to_allow(allowances, allow_lossy=allow_lossy)
    were_allowed([one for _, one in loaded], allowed)
    made = artifacts(loaded, exporters, allowed=allowed, map_file=map_file, base=asked.base)
    planned = plan(output, made)
    line = _Command(baseline, output, targets, map_file, allowed, verify_keys)
    pairs = portable(pairs, [one for _, one in loaded])
    written = asked.answer(
        planned,
        targets=[exporter.name for exporter, _ in exporters],
        baselines=[one for _, one in loaded],
        is_all=baseline.is_dir(),
        renew=shell(*line.words(pairs, enforce=enforce), *asked.words, "--force"),
    )
    if written is None:
        return
    # `--enforce` denies by itself, and refuses to meet a mode that does not.
    denying = [pair for pair in pairs if pair not in ("mode=audit", "mode=warn")]
    about = None
    if not enforce:
        about = words_about_enforcing(
            [one for _, one in loaded],
            exporters,
            chosen_exporters(targets, denying, enforce=False),
        )
    if about is not None:
        next_command(
            shell(*line.words(denying, enforce=True), *asked.words, "--force"),
            why=about,
        )
    else:
        next_command(
            shell(*line.words(pairs, enforce=enforce), *asked.words, "--check"),
            why="in CI: is it up to date?",
        )


@dataclass(frozen=True, slots=True)
class _Command:
    """The command line of an export, to print it again."""

    baseline: Path
    output: Path
    targets: tuple[str, ...]
    map_file: Path | None
    allowed: tuple[str, ...]
    verify_keys: tuple[Path, ...] = ()

    def words(self, pairs: Sequence[str], *, enforce: bool) -> list[str | Path]:
        """Return its words with the settings *pairs*."""
        words: list[str | Path] = ["ethogram", "export", self.baseline]
        words += [word for target in self.targets for word in ("--to", target)]
        words += ["--map", self.map_file] if self.map_file is not None else []
        words += [word for pair in pairs for word in _option_of(pair)]
        words += ["--allow", ",".join(self.allowed)] if self.allowed else []
        words += [word for file in self.verify_keys for word in ("--verify-key", file)]
        words += ["-o", self.output]
        return words + (["--enforce"] if enforce else [])


def _baselines(
    path: Path, map_file: Path | None, verify_keys: tuple[Path, ...], *, for_peers: bool
) -> list[tuple[Path, Baseline]]:
    """Return the baselines in *path* as they are in force today, and as the map carries them."""
    from datetime import UTC, datetime

    from ethogram.cli.environments import carried
    from ethogram.contracts.overlays import in_force

    kind = kind_of(path)
    if kind in {"recording", "summary"}:
        raise UsageError(
            f"`{path}` is {WORDS[kind]}, not a baseline",
            hint=f"`{shell('ethogram', 'learn', path, '-o', 'baselines')}` makes one of it",
        )
    if kind not in {"baseline", "baselines"}:
        raise UsageError(f"`{path}` is {WORDS[kind]}, not a baseline", hint=use_of(kind, path))
    today = datetime.now(UTC).date()
    found = baselines_in(path, verify_keys)
    loaded = [(file, in_force(baseline, today)) for file, baseline in found]
    return carried(map_file, loaded, for_peers=for_peers)


def _option_of(pair: str) -> tuple[str, ...]:
    """Return how a setting is written on a command line."""
    name, _, value = pair.partition("=")
    if pair == "bind-digest=true":
        return (FLAGS[name],)
    with_value = name in FLAGS and name != "bind-digest"
    return (FLAGS[name], value) if with_value else ("--set", pair)
