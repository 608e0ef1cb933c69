"""What a map (`--map`) does to the baselines of a command, and what is said of a wrong one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.cli.baseline_screen import subject_of
from ethogram.cli.group import closest
from ethogram.cli.screen import count, say, shell
from ethogram.contracts.escape import printable
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from ethogram.contracts.environment import Environment

__all__ = ["carried", "check_map"]

_SAID = 10  # entries that name nothing

_SHOWN = 5


def carried(
    map_file: Path | None, loaded: Sequence[tuple[Path, Baseline]], *, for_peers: bool
) -> list[tuple[Path, Baseline]]:
    """Return baselines with their files as *map_file* carries them; as they are without one.

    With *for_peers* it warns of addresses that stay, as they will be in a policy.

    Raises `UsageError` for a file that is no map, for one that names nothing of them, and for one
    that makes two of them the same workload's.
    """
    if map_file is None:
        return list(loaded)
    from ethogram.contracts.environment import apply_environment, load_environment

    environment = load_environment(map_file)
    check_map(map_file, environment, [baseline for _, baseline in loaded])
    after = [(file, apply_environment(baseline, environment)) for file, baseline in loaded]
    _refuse_meeting(map_file, loaded, after)
    if for_peers:
        _say_left_behind(environment, [baseline for _, baseline in loaded])
    return after


def check_map(map_file: Path, environment: Environment, baselines: Sequence[Baseline]) -> None:
    """Say what of *environment* names nothing in *baselines*, and whom it leaves where it is.

    Raises `UsageError` where nothing of it applies: it is the map of something else.
    """
    from ethogram.contracts.environment import unused

    left = unused(environment, baselines)
    if len(left) == sum(1 for _ in environment.entries()):
        rest = ", nor is the rest" if len(left) > 1 else ""
        raise UsageError(
            f"`{map_file}` maps nothing here: {left[0]} is in none of"
            f" {count(len(baselines), 'baseline')}{rest}",
            hint=_meant(left[0].source, baselines) or "is it the map of another application?",
        )
    for entry in left[:_SAID]:
        say(f"warning: --map: {entry} is in no baseline")
        if entry.section == "namespaces" and (hint := _meant(entry.source, baselines)):
            say(f"  hint: {hint}")
    if len(left) > _SAID:
        say(f"warning: --map: neither are {count(len(left) - _SAID, 'more entry', 'more entries')}")
    if environment.namespaces:
        for name, number in sorted(_unmapped(environment, baselines).items()):
            say(
                f"warning: --map: namespace `{printable(name)}` of {count(number, 'baseline')}"
                " is not in it and stays"
            )


def _say_left_behind(environment: Environment, baselines: Sequence[Baseline]) -> None:
    from ethogram.contracts.environment import left_behind

    pairs = left_behind(environment, baselines)
    if not pairs:
        return
    texts = [f"{printable(address)} ({printable(name)})" for address, name in pairs]
    more = len(texts) - _SHOWN if len(texts) > _SHOWN else 0
    say(
        "warning: --map: names are mapped and their addresses stay, which are those of the"
        f" recording: {', '.join(texts[:_SHOWN])}" + (f" and {more} more" if more else "")
    )
    address = pairs[0][0]
    block = printable(f"{address}/{128 if ':' in address else 32}")
    say(f"  hint: map them too: `cidrs: {{{block}: ...}}`, to themselves where they are the same")


def _meant(word: str, baselines: Sequence[Baseline]) -> str | None:
    namespaces = sorted({str(one.subject.namespace) for one in baselines if one.subject.namespace})
    if guess := closest(word, namespaces):
        return f"did you mean `{printable(guess)}`?"
    return None


def _unmapped(environment: Environment, baselines: Sequence[Baseline]) -> Counter[str]:
    found = (one.subject.namespace for one in baselines)
    return Counter(name for name in found if name and name not in environment.namespaces)


def _refuse_meeting(
    map_file: Path,
    before: Sequence[tuple[Path, Baseline]],
    after: Sequence[tuple[Path, Baseline]],
) -> None:
    """Raise `UsageError` where the map makes one workload of two."""
    from ethogram.contracts.baseline import baseline_filename

    seen: dict[str, tuple[Path, str]] = {}
    for (file, old), (_, new) in zip(before, after, strict=True):
        name, old_name = baseline_filename(new.subject), baseline_filename(old.subject)
        other, other_name = seen.setdefault(name, (file, old_name))
        if other != file and other_name != old_name:
            raise UsageError(
                f"`{map_file}` makes one workload of two: `{other}` and `{file}` become"
                f" `{subject_of(new)}`",
                hint=f"take one at a time: `{shell('ethogram', 'export', file)} --map ...`",
            )
