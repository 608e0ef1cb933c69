"""What `diff` compares: baselines in files, in a revision of git, or learnt from recordings."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ethogram.cli.inputs import WORDS, kind_of, learnt_from, use_of
from ethogram.contracts.escape import escape
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import BaselineError, UsageError

if TYPE_CHECKING:
    from learner.difference import Named

__all__ = ["GIT", "Source", "baselines_of"]

Source: TypeAlias = "Path | RecordingUrl | str"

GIT = "git:"
_SUFFIX = ".baseline.yaml"
_LIMIT_BYTES = 64 << 20  # of one file, as for those that are read from a disk
_GIT_S = 60


def baselines_of(source: Source, other: Source, *, today: date) -> list[Named]:
    """Return the baselines that *source* stands for, each with the place to name it by.

    `git:REV` means the path of the *other* side in that revision. What an overlay allowed that is
    over *today*, they do not allow.
    """
    from ethogram.contracts.overlays import in_force

    return [(place, in_force(one, today)) for place, one in _found(source, other)]


def _found(source: Source, other: Source) -> list[Named]:
    if isinstance(source, str):
        return _of_git(source, other)
    kind = kind_of(source)
    if kind in ("baseline", "baselines") and isinstance(source, Path):
        from ethogram.contracts.baseline import load_baselines

        return load_baselines(source)
    if kind in ("recording", "summary"):
        return [(Path(str(source)), one) for one in learnt_from([source])]
    raise UsageError(
        f"`{source}` is {WORDS[kind]}, not baselines, a recording or a summary",
        hint=use_of(kind, source),
    )


def _of_git(source: str, other: Source) -> list[Named]:
    """Return the baselines of `git:REV` or `git:REV:PATH`, a file or a directory."""
    from ethogram.contracts.baseline import load_baselines

    revision, _, path = source.removeprefix(GIT).partition(":")
    if not revision:
        raise UsageError(f"`{source}` names no revision", hint="write `git:main` or `git:HEAD~1`")
    if not path:
        if not isinstance(other, Path):
            raise UsageError(
                f"`{source}` names no path, and the other side has none to take it from",
                hint=f"write `{source}:baselines`",
            )
        path = str(other)
    where = Path(path)
    names = _git(where, "ls-tree", "-z", "-r", "--name-only", "--end-of-options", revision,
                 "--", where.name or ".", source=source)  # fmt: skip
    wanted = [name for name in names.decode("utf-8", "surrogateescape").split("\0") if name]
    exact = [name for name in wanted if name == where.name]
    beside = [name for name in wanted if name.endswith(_SUFFIX) and name.count("/") <= 1]
    if not exact and not beside:
        raise BaselineError(
            f"there is no baseline `{escape(path)}` in revision `{escape(revision)}`",
            hint=f"`git ls-tree -r --name-only {escape(revision)}` lists what there is",
        )
    found: list[Named] = []
    with tempfile.TemporaryDirectory(prefix="ethogram-diff-") as directory:
        for name in exact or beside:
            content = _git(where, "cat-file", "blob", f"{revision}:./{name}", source=source)
            if len(content) > _LIMIT_BYTES:
                raise BaselineError(
                    f"`{escape(name)}` in `{escape(revision)}` is no baseline: it is larger than "
                    f"{_LIMIT_BYTES >> 20} MiB",
                    hint="name a file that `ethogram learn` wrote",
                )
            file = Path(directory, f"{len(found)}{_SUFFIX}")
            file.write_bytes(content)
            place = where if exact else where / Path(name).name
            try:
                [(_, baseline)] = load_baselines(file)
            except BaselineError as error:
                message = error.message.replace(str(file), f"{GIT}{revision}:{place}")
                raise BaselineError(message, hint=error.hint) from error
            found.append((Path(f"{GIT}{revision}:{place}"), baseline))
    return found


def _git(where: Path, *words: str, source: str) -> bytes:
    """Return what git prints, asked beside *where*; `UsageError` with its own words."""
    beside = next((one for one in (where.parent, *where.parent.parents) if one.is_dir()), Path())
    git = shutil.which("git")
    if git is None:
        raise UsageError(
            f"`{source}` needs git, which is not installed", hint="install git, or name files"
        )
    try:
        done = subprocess.run(  # noqa: S603  words that git reads as names, behind its options
            [git, "-C", str(beside), *words],
            check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_GIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"git did not answer within {_GIT_S} s for `{source}`") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(
            f"git cannot read `{source}`: {escape(said[-1]) if said else 'it says nothing'}",
            hint="`git log --oneline` lists revisions; the path is relative to where you are",
        )
    return done.stdout
