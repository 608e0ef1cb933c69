"""The main command group: its commands are known by name and loaded when invoked."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

import click

from ethogram import __version__
from ethogram.errors import UsageError

__all__ = ["COMMANDS", "cli", "closest"]

# Name -> what `--help` says of it, in the order of use. The help stands here so that listing the
# commands imports none of them; a test compares it with each command's own.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "doctor": "Say what this host can record, and what is missing.",
        "try": "Record one command; print what it did and the profile it needs.",
        "record": "Record what workloads do, until stopped or for a while.",
        "send": "Upload a recording, or what a spool still has of one.",
        "show": "Print a recording, a summary or a baseline.",
        "summarize": "Reduce recordings to one summary that merges.",
        "merge": "Merge summaries into one.",
        "learn": "Learn a baseline for each workload.",
        "explain": "Tell the story of a rule or of a line of policy, and how to drop it.",
        "diff": "Compare baselines: what is allowed now, the gravest first.",
        "export": "Write policies that allow just what a baseline allows.",
        "verify": "Replay recordings through policies: what would they deny?",
        "audit": "Judge Kubernetes objects, by what was used of what they ask for.",
        "relax": "Let exported policies log instead of deny, at once, and back.",
        "watch": "Watch workloads, and report what strays from their baselines.",
        "webhook": "Answer an API server that asks whether pods may be.",
        "sign": "Sign baselines, so that `watch --verify-key` takes no others.",
        "accept": "Allow what a finding showed, by an overlay with author, reason and end.",
        "suppress": "Hear no more of a finding until a day: by a suppression with an owner.",
        "query": "Ask recordings and findings in SQL.",
        "tree": "Draw a process tree with files, connections and ends.",
        "profiles": "Put seccomp profiles where a node's kubelet finds them; say which it holds.",
        "forget": "Remove a workload from recordings and summaries.",
        "partition": "Make a recording for each namespace of a recording.",
        "schema": "Print the schema of tables, findings and events.",
    }
)


def closest(word: str, words: Sequence[str]) -> str | None:
    """Return the one of *words* that *word* was probably meant to be."""
    return next(iter(get_close_matches(word, words, n=1, cutoff=0.6)), None)


def _module_of(name: str) -> str:
    return "ethogram.cli.try_" if name == "try" else f"ethogram.cli.{name}"


class LazyGroup(click.Group):
    """A group over `COMMANDS`; the module of a command is imported when it is asked for."""

    # The signatures are click's, whether or not an override needs the context.
    # ruff: noqa: ARG002

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(_module_of(cmd_name)).command
        if not isinstance(command, click.Command):
            raise TypeError(f"`{_module_of(cmd_name)}.command` is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS:
            guess = closest(name, list(COMMANDS))
            raise UsageError(
                f"there is no command `{name}`",
                hint=f"did you mean `ethogram {guess}`?"
                if guess
                else "`ethogram --help` lists the commands",
            )
        return name, self.get_command(ctx, name), args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `ethogram doctor`, then `ethogram try -- COMMAND`.",
)
@click.version_option(__version__, prog_name="ethogram", message="%(prog)s %(version)s")
def cli() -> None:
    """Learn what a workload is wont to do, with eBPF, and make policy of it.

    Recording needs root. Everything after it needs neither root nor a network.
    """
