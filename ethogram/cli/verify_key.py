"""The option `--verify-key`, for every command that reads baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline

__all__ = ["baselines_in", "require_baseline", "verify_key_option"]


def verify_key_option(command: Any) -> Any:
    """Add the option `--verify-key`."""
    return click.option(
        "--verify-key",
        "verify_keys",
        multiple=True,
        metavar="KEY",
        type=click.Path(path_type=Path),
        help="Take baselines that this key signed, and no others: a public key of `sign --new-key`."
        " May be repeated: one of them is enough.",
    )(command)


def baselines_in(path: Path, verify_keys: Sequence[Path]) -> list[tuple[Path, Baseline]]:
    """Return the baselines in *path*; with keys, only as one of these signed them.

    What version of them it is, nobody remembers here: that is a watch's.
    """
    from ethogram.contracts.baseline import load_baselines

    if not verify_keys:
        return load_baselines(path)
    from ethogram.contracts.baseline_places import parsed, read_place
    from ethogram.contracts.signed_places import verified
    from ethogram.contracts.signing_keys import public_key

    keys = [public_key(file) for file in verify_keys]
    found = read_place(path)
    verified(found, keys, below=False)
    files = {name: found.file(name) for name in found.files}
    return [(file, parsed(found, name)) for name, file in files.items() if isinstance(file, Path)]


def require_baseline(kind: str, verify_keys: Sequence[Path]) -> None:
    """Raise `UsageError` where keys were named for what is never signed."""
    if verify_keys:
        raise UsageError(f"`--verify-key` is for baselines, and this is {kind}")
