"""`ethogram explain`: the story of a rule, or of a line of policy, and how to drop it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.explain_words import allowing, drop_command
from ethogram.cli.inputs import WORDS, kind_of, use_of
from ethogram.cli.options import examples, format_option
from ethogram.cli.screen import count, next_command, output, shell, subject_words
from ethogram.contracts.escape import printable
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from learner.story import Story

__all__ = ["EXPLANATION_SCHEMA", "command"]

EXPLANATION_SCHEMA = "ethogram.explanation/1"
_SHOWN = 40


@click.command(
    "explain",
    short_help="Tell the story of a rule or of a line of policy, and how to drop it.",
    epilog=examples(
        "ethogram explain baselines syscalls:ptrace",
        "ethogram explain baselines/shop.Deployment-checkout.nginx.baseline.yaml files:/etc/passwd",
        "ethogram explain baselines files-58f1c0a2b3d4 --format json",
        "ethogram explain policies/shop/Deployment-checkout/nginx.seccomp.json accept4",
        "ethogram explain policies/shop/Deployment-checkout/nginx.networkpolicy.yaml"
        " 'spec.egress[0].to[1]' --baseline baselines",
    ),
)
@click.argument("path", metavar="BASELINE|POLICY", type=click.Path(path_type=Path))
@click.argument("rule", metavar="RULE")
@click.option(
    "--baseline",
    "baselines",
    metavar="BASELINE",
    type=click.Path(path_type=Path),
    help="The baseline that POLICY was made from, or a directory of them.",
)
@format_option("text", "json")
def command(path: Path, rule: str, baselines: Path | None, output_format: str) -> None:
    """Tell what a rule allows, who did it, how often and when, and who decided about it.

    BASELINE is a file or a directory of baselines. RULE is an id, the beginning of one, or what is
    allowed, such as `syscalls:ptrace` or `files:/etc/passwd`. What is quarantined or left out is
    told as well.

    POLICY is a file that `export` wrote, with its provenance beside it. RULE is a place in it, such
    as `spec.egress[0].to[1]` or `ProtectHome`, the name of a call, a peer, a capability, or a rule
    of its baseline.
    """
    from datetime import UTC, datetime

    from learner.story import closest_name, stories

    if _is_policy(path):
        from ethogram.cli.explain_policy import explain_policy

        explain_policy(path, rule, baselines, output_format)
        return
    if baselines is not None:
        raise UsageError("`--baseline` goes with a policy", hint=f"`{path}` is no policy")
    loaded = _loaded(path)
    today = datetime.now(UTC).date()
    found = [
        (file, baseline, story)
        for file, baseline in loaded
        for story in stories(baseline, rule, today=today)
    ]
    if not found:
        guess = closest_name([baseline for _, baseline in loaded], rule)
        raise UsageError(
            f"no rule of `{path}` is `{printable(rule)}`",
            hint=f"did you mean `{printable(guess)}`?"
            if guess
            else f"`{shell('ethogram', 'show', path, '--format', 'json')}` has every rule",
        )
    if output_format == "json":
        _print_json(found, loaded)
        return
    if len(found) == 1:
        _print_story(*found[0], loaded)
    else:
        _print_list(found, path)


_Found = tuple[Path, "Baseline", "Story"]


def _is_policy(path: Path) -> bool:
    """Return whether *path* is a policy: by what stands beside it, or by how it begins."""
    from ethogram.contracts.foreign import is_policy
    from ethogram.contracts.provenance_files import has_provenance

    return path.is_file() and (has_provenance(path) or is_policy(path))


def _loaded(path: Path) -> list[tuple[Path, Baseline]]:
    from ethogram.contracts.baseline import load_baselines

    kind = kind_of(path)
    if kind not in ("baseline", "baselines"):
        raise UsageError(f"`{path}` is {WORDS[kind]}, not a baseline", hint=use_of(kind, path))
    return load_baselines(path)


def _print_json(found: Sequence[_Found], loaded: Sequence[tuple[Path, Baseline]]) -> None:
    rules = []
    for file, baseline, story in found:
        subject = baseline.subject.model_dump(mode="json", exclude_none=True)
        drop = drop_command(file, story)
        rules.append(
            {"path": str(file), "workload": subject}
            | story.document()
            | ({"drop": drop} if drop else {})
            | {"also_in": [str(other) for other in _others(story, file, loaded)]}
        )
    document = {"schema": EXPLANATION_SCHEMA, "rules": rules}
    print(json.dumps(document, indent=2, ensure_ascii=True))


def _print_list(found: Sequence[_Found], path: Path) -> None:
    """Print what *found* may be, a line each, for somebody to name one of them."""
    console = output()
    for file, _, story in found[:_SHOWN]:
        words = f"{story.id}  {story.status}  {printable(_words(story))}"
        console.print(words if path == file else f"{words}  {printable(file.name)}", soft_wrap=True)
    if len(found) > _SHOWN:
        console.print(f"and {len(found) - _SHOWN:,} more")
    file, _, story = found[0]
    next_command(shell("ethogram", "explain", file, story.id), why=f"one of {len(found)}")


def _words(story: Story) -> str:
    from ethogram.contracts.wording import in_words

    return in_words(story.value)


def _print_story(
    file: Path, baseline: Baseline, story: Story, loaded: Sequence[tuple[Path, Baseline]]
) -> None:
    console = output()
    console.print(f"{story.id} of {subject_words(baseline.subject)}", soft_wrap=True)
    for line in story.lines():
        console.print(f"  {printable(line)}", soft_wrap=True)
    if others := _others(story, file, loaded):
        console.print(f"  the same rule is in {count(len(others), 'baseline')} beside it")
    drop = drop_command(file, story)
    if drop is None:
        console.print(f"  to allow it: {allowing(story)}")
        next_command(shell("ethogram", "show", file))
    else:
        next_command(drop, why="drops it")


def _others(story: Story, file: Path, loaded: Sequence[tuple[Path, Baseline]]) -> list[Path]:
    """Return the files of the other baselines that allow the same."""
    return [
        other
        for other, baseline in loaded
        if other != file and any(rule.id == story.id for _, rule in baseline.rules.all())
    ]
