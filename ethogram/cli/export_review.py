"""The options of `export` by which people review what it would write before it is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import force_option, format_option
from ethogram.cli.screen import count, say, shell
from ethogram.errors import BaselineError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from ethogram.contracts.exports import Plan

__all__ = ["Review", "review_options"]


def review_options(command: Any) -> Any:
    """Add the options that `Review.of` takes."""
    for option in reversed(
        (
            click.option(
                "--dry-run",
                is_flag=True,
                help="Print what would change as a difference, and write nothing.",
            ),
            click.option(
                "--check", is_flag=True, help="Exit with code 5 where DIR is not what this writes."
            ),
            click.option(
                "--prune",
                is_flag=True,
                help="Remove files that an earlier export wrote for workloads that are gone, and"
                " that nobody changed since.",
            ),
            click.option(
                "--summary",
                metavar="FILE",
                help="Write what the change lets in and shuts out, as markdown for a pull request;"
                " `-` prints it.",
            ),
            click.option(
                "--base",
                metavar="EXISTING",
                type=click.Path(exists=True, path_type=Path),
                help="Refine the policies in this directory, or this policy: keep them, and add"
                " what evidence demands.",
            ),
            format_option("text", "json"),
            force_option,
        )
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Review:
    """What was asked about an export, besides which policies it writes."""

    dry_run: bool
    check: bool
    prune: bool
    summary: str | None
    base: Path | None
    output_format: str
    force: bool

    def __post_init__(self) -> None:
        """Refuse questions that contradict each other."""
        if self.check and self.dry_run:
            raise UsageError("`--check` and `--dry-run` are different questions", hint="ask one")
        if self.output_format != "text" and not (self.check or self.dry_run):
            raise UsageError(
                "`--format` says how `--dry-run` and `--check` answer", hint="add one of them"
            )
        self._refuse_two_documents()

    def _refuse_two_documents(self) -> None:
        if self.summary == "-" and self.output_format != "text":
            raise UsageError(
                "`--summary -` and `--format json` both print on standard output",
                hint="write the summary into a file",
            )

    @property
    def words(self) -> list[str | Path]:
        """Return the options that belong to a command that writes the same."""
        base: list[str | Path] = [] if self.base is None else ["--base", self.base]
        return [*base, *(["--prune"] if self.prune else [])]

    def answer(
        self,
        planned: Plan,
        *,
        targets: Collection[str],
        baselines: Sequence[Baseline],
        is_all: bool,
        renew: str,
    ) -> set[str] | None:
        """Do what was asked; return the paths that were written, None where nothing was to be.

        *is_all*: the baselines are all of a directory, so that others are gone. *renew* is the
        command that writes what `--check` finds stale.
        """
        from ethogram.cli.export_changes import check, print_changes, say_stale
        from ethogram.contracts.export_stale import pruned, remove_stale, stale_files
        from ethogram.contracts.exports import write_plan

        stale = stale_files(planned, targets=targets, units=_units(baselines), is_all=is_all)
        if self.prune:
            planned = pruned(planned, stale)
        told: dict[str, Any] = {"output_format": self.output_format, "prune": self.prune}
        if self.summary is not None:
            from ethogram.cli.export_summary import summary_of, write_summary

            write_summary(summary_of(planned, stale), self.summary)
        _refuse_relaxed(planned.directory, self)
        if self.check:
            check(planned, stale, renew=renew, **told)
            return None
        if self.dry_run and self.summary == "-":
            return None
        if self.dry_run:
            print_changes(planned, stale, **told)
            return None
        written = set(write_plan(planned, force=self.force))
        for change in planned.changes:
            state = "wrote" if change.artifact.path in written else "unchanged"
            say(f"{state} `{planned.directory / change.artifact.path}`")
        if self.prune:
            for _ in remove_stale(planned.directory, stale):
                pass
        say_stale(stale, prune=self.prune, is_done=True)
        return written


def _refuse_relaxed(directory: Path, asked: Review) -> None:
    """Raise where policies in *directory* are relaxed: nothing ends that by the way."""
    from ethogram.contracts.relaxed import read_relaxed, relaxed_words

    files = read_relaxed(directory)
    if not files:
        return
    what = f"{count(len(files), 'policy', 'policies')} in `{directory}`: {relaxed_words(files)}"
    if asked.dry_run:
        say(f"warning: {what}")
        return
    kind = BaselineError if asked.check else UsageError
    raise kind(what, hint=f"`{shell('ethogram', 'relax', directory, '--restore')}` ends that")


def _units(baselines: Sequence[Baseline]) -> set[str]:
    """Return the part of the paths of policies that names each workload and container."""
    from ethogram.contracts.export_stale import unit_of
    from ethogram.contracts.exports import artifact_path

    return {
        unit_of(
            artifact_path(
                namespace=one.subject.namespace,
                kind=one.subject.kind,
                name=one.subject.name,
                unit=one.subject.container,
                target="any",
                suffix="any",
            ),
            "any",
        )
        for one in baselines
    }
