"""The baselines of a watch: where they are, how they are loaded, what is said when they change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import Duration, Location
from ethogram.cli.screen import count, say
from ethogram.cli.verify_key import verify_key_option
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from detector.baselines import Baselines, Verify
    from detector.library import Library
    from detector.reload import Update
    from detector.suppressions import Suppressions

__all__ = ["baseline_options", "baselines_of", "loaded", "suppressions_of", "telling"]


def baseline_options(command: Any) -> Any:
    """Add the options that name baselines."""
    for option in reversed(
        (
            click.option(
                "--baseline",
                "baselines",
                multiple=True,
                metavar="FILE|DIR|URL",
                type=Location(),
                help="A baseline, or a directory of `*.baseline.yaml` with those below it, such as "
                "a git checkout, or a URL such as `s3://bucket/baselines`. May be repeated. What "
                "changes there is taken while the watch runs. May be left out with "
                "`--unknown record` and `--unknown alert`.",
            ),
            click.option(
                "--baseline-poll",
                type=Duration(least_ms=100),
                metavar="TIME",
                default="30s",
                show_default=True,
                help="How often URLs are asked whether baselines changed; local ones say so.",
            ),
            click.option(
                "--suppressions",
                metavar="FILE",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Findings not to tell, each with an owner, a reason and a last day; what"
                " changes there is taken while the watch runs.",
            ),
            verify_key_option,
            click.option(
                "--verify-state",
                metavar="FILE",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Which versions of signed baselines were taken: older ones are refused."
                "  [default: /var/lib/ethogram/signed.json]",
            ),
        )
    ):
        command = option(command)
    return command


def baselines_of(values: dict[str, Any]) -> Baselines:
    """Return where the baselines are, as the options have it; nothing is read yet but the map."""
    from detector.baselines import Baselines
    from ethogram.contracts.environment import load_environment

    if not values["baselines"] and values["unknown"] == "ignore":
        raise UsageError(
            "nothing says what is normal: `--baseline` is missing",
            hint="name baselines, or begin without: `--unknown record --learn DIR` records what "
            "runs, so that baselines can be learnt",
        )
    map_file: Path | None = values["map_file"]
    return Baselines(
        values["baselines"],
        environment=None if map_file is None else load_environment(map_file),
        verify=_verify(values["verify_keys"], values["verify_state"]),
        may_lack=values["unknown"] != "ignore",
    )


def suppressions_of(path: Path | None) -> Suppressions:
    """Return what is not to be told, as file *path* has it."""
    from detector.suppressions import Suppressions
    from ethogram.contracts.suppression_file import load_suppressions

    return Suppressions() if path is None else Suppressions(path, load_suppressions(path))


def _verify(keys: tuple[Path, ...], state: Path | None) -> Verify | None:
    if not keys:
        if state is not None:
            raise UsageError("`--verify-state` is for `--verify-key`", hint="name both")
        return None
    from detector.rollback import STATE_PATH, SignedOnly
    from ethogram.contracts.signing_keys import public_key

    return SignedOnly([public_key(file) for file in keys], state or STATE_PATH)


def loaded(baselines: Baselines, map_file: Path | None) -> Library:
    """Return the baselines that are there, and say what the map does not reach."""
    from ethogram.contracts.remote_threads import end_threads

    try:
        if map_file is None:
            return baselines.load()
        return _mapped(baselines, map_file)
    finally:
        if any(isinstance(one, RecordingUrl) for one in baselines.places):
            end_threads()  # one that lives keeps the privileges that are to be dropped


def _mapped(baselines: Baselines, map_file: Path) -> Library:
    from ethogram.cli.environments import check_map

    environment, baselines.environment = baselines.environment, None
    assert environment is not None
    before = baselines.load()
    check_map(map_file, environment, [known.baseline for known in before.known])
    baselines.environment = environment
    baselines.forget()
    return baselines.load()


def telling(clear: Callable[[], None], newest: deque[Library]) -> Callable[[Update], None]:
    """Return what says on standard error that baselines changed, or why they did not.

    *clear* makes room on the screen, *newest* ends in those that are in force.
    """

    def tell(update: Update) -> None:
        clear()
        for one in update.expired:
            say(f"warning: a suppression of {one.owner} is over since {one.expires}: {one}")
        if update.expired:
            return
        if update.is_of_suppressions:
            if update.suppressions is None:
                say(f"warning: the suppressions stay as they were: {update.trouble}")
            else:
                say(f"took {count(len(update.suppressions), 'suppression')} anew: they had changed")
            return
        if update.library is None:
            say(f"warning: the baselines stay as they were: {update.trouble}")
            return
        before = newest[-1]
        newest.append(update.library)
        say(f"took the baselines anew: {_changes(before, update.library)}")

    return tell


def _changes(before: Library, after: Library) -> str:
    """Return in words what is new, changed and gone, and how many there are now."""
    old, new = ({one.file: one.baseline for one in each.known} for each in (before, after))
    numbers = {
        "changed": sum(old[file] != new[file] for file in old.keys() & new.keys()),
        "new": len(new.keys() - old.keys()),
        "gone": len(old.keys() - new.keys()),
    }
    words = [f"{number:,} {word}" for word, number in numbers.items() if number]
    return f"{', '.join(words) or 'none changed'}; {count(len(new), 'baseline')} in force"
