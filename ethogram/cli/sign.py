"""`ethogram sign`: says of baselines and their models that somebody reviewed them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.options import examples
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.errors import BaselineError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.signing_keys import SigningKey

__all__ = ["command"]

_VARIABLE = "ETHOGRAM_KEY_PASSPHRASE"
_LONGEST_PASSPHRASE = 1024


@click.command(
    "sign",
    short_help="Sign baselines, so that `watch --verify-key` takes no others.",
    epilog=examples(
        "ethogram sign --new-key ethogram.key --passphrase-file passphrase",
        "ethogram sign baselines --key ethogram.key",
        "ethogram sign baselines --key old.key --key new.key",
        "ethogram sign shop.baseline.yaml --key ethogram.key --sequence 42",
    ),
)
@click.argument(
    "places", metavar="BASELINE|DIR...", nargs=-1, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--key",
    "key_files",
    multiple=True,
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="The private key. May be repeated, while one key takes the place of another.",
)
@click.option(
    "--new-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Make a key instead: FILE for who signs, `FILE.pub` for who checks.",
)
@click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"File whose first line protects the key.  [default: what `{_VARIABLE}` holds]",
)
@click.option(
    "--sequence",
    metavar="N",
    type=click.IntRange(1, 2**53 - 1),
    help="The version of the list; a watch takes no smaller one than it had.  [default: the time in"
    " seconds, or one more than before where that is more]",
)
def command(
    *,
    places: tuple[Path, ...],
    key_files: tuple[Path, ...],
    new_key: Path | None,
    passphrase_file: Path | None,
    sequence: int | None,
) -> None:
    """Sign the baselines in each BASELINE or DIR, and the models that they name.

    Of a directory the signed list is its `baselines.sig`, with the directories below; of one
    baseline it is a file of its name and `.sig`. The list has the digest of every file, and a
    version: nothing can be altered, added, taken away, or brought back from an older version.
    """
    passphrase = _passphrase(passphrase_file)
    if new_key is not None:
        if places or key_files or sequence is not None:
            raise UsageError("`--new-key` makes a key, and signs nothing", hint="sign after that")
        _make_key(new_key, passphrase)
        return
    if not places or not key_files:
        missing = "baselines to sign" if not places else "`--key`, the key to sign by"
        raise UsageError(
            f"`ethogram sign` needs {missing}",
            hint="`ethogram sign --new-key ethogram.key` makes a key; `ethogram sign baselines "
            "--key ethogram.key` signs by it",
        )
    keys = _keys(key_files, passphrase)
    for place in places:
        _sign(place, keys, sequence)
    public = [Path(f"{file}.pub") for file in key_files[:1]]
    named = [word for place in places for word in ("--baseline", place)]
    next_command(shell("ethogram", "watch", *named, "--verify-key", *public, "--all"))


def _make_key(path: Path, passphrase: bytes | None) -> None:
    from ethogram.contracts.signing_keys import PUBLIC_SUFFIX, new_key

    made = new_key(path, passphrase)
    print(made.id)
    protection = "with a passphrase" if passphrase else "without one: whoever reads it signs"
    say(f"`{path}` is the key, {protection}")
    say(f"`{path}{PUBLIC_SUFFIX}` is for `--verify-key`, on every host that watches")
    next_command(shell("ethogram", "sign", "baselines", "--key", path))


def _keys(files: Sequence[Path], passphrase: bytes | None) -> list[SigningKey]:
    from ethogram.contracts.signing_keys import signing_key

    keys = {}
    for file in files:
        key = signing_key(file, passphrase)
        keys[key.id] = key
        if file.stat().st_mode & 0o077:
            say(f"warning: others may read the key `{file}`: `{shell('chmod', '600', file)}`")
    return list(keys.values())


def _sign(place: Path, keys: Sequence[SigningKey], sequence: int | None) -> None:
    from datetime import UTC, datetime

    from pydantic import ValidationError

    from ethogram.contracts.baseline_places import read_place
    from ethogram.contracts.durable import replace_file
    from ethogram.contracts.signed_list import SIGNED_SCHEMA, SignedList, seal
    from ethogram.contracts.signed_places import digests_to_sign, own_list_name

    found = read_place(place, below=True)
    files = digests_to_sign(found)
    target = found.file(own_list_name(found))
    assert isinstance(target, Path)
    now = datetime.now(UTC)
    before = _sequence_in(target)
    chosen = sequence or max(int(now.timestamp()), before + 1)
    if chosen <= before:
        raise UsageError(
            f"`{target}` is version {before} already: nobody would take {chosen} after it",
            hint="leave `--sequence` out, or name a larger one",
        )
    try:
        listed = SignedList(
            schema=SIGNED_SCHEMA,
            sequence=chosen,
            time=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            files=files,
        )
    except ValidationError as error:
        cause = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise UsageError(
            f"`{place}` cannot be signed: {cause.removeprefix('Value error, ')}",
            hint="a signed file is called `*.yaml`, without odd characters",
        ) from error
    replace_file(target, seal(listed, keys), mode=0o644)
    models = len(listed.models)
    what = count(len(listed.baselines), "baseline")
    what += f" and {count(models, 'model')}" if models else ""
    print(target)
    say(f"signed {what} of `{place}` as version {chosen} by {count(len(keys), 'key')}")


def _sequence_in(path: Path) -> int:
    """Return the version of the list that is there, 0 where there is none."""
    from ethogram.contracts.plain_file import open_plain
    from ethogram.contracts.signed_list import read

    try:
        with open_plain(path) as file:
            data = file.read((4 << 20) + 1)
    except FileNotFoundError:
        return 0
    try:
        return read(data, source=str(path)).sequence
    except BaselineError as error:
        raise UsageError(
            f"{error.message}: it holds something else, which would be lost",
            hint="move it away where it is none of yours",
        ) from error


def _passphrase(path: Path | None) -> bytes | None:
    """Return what protects the key: never from the command line, which everybody reads."""
    from ethogram.contracts.plain_file import open_plain

    if path is None:
        return os.environb.get(_VARIABLE.encode()) or None
    try:
        with open_plain(path) as file:
            line = file.readline(_LONGEST_PASSPHRASE + 2).rstrip(b"\r\n")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"passphrase file `{path}` cannot be read: {reason}") from error
    if not line or len(line) > _LONGEST_PASSPHRASE:
        raise UsageError(
            f"passphrase file `{path}`: its first line is empty, or longer than "
            f"{_LONGEST_PASSPHRASE:,} bytes"
        )
    return line
