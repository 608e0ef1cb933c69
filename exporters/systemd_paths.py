"""`ProtectSystem` and `ReadWritePaths`: what of the file system stays writable, and how to say so.

Each path that stays writable becomes a mount of its own, and no file can be renamed or linked from
one mount to another. So where that may have been done, they become one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ethogram.contracts.escape import printable, unescape
from exporters.systemd_seen import Path, Seen, lies_in
from exporters.systemd_setting import LeftOut, Setting, because_of

__all__ = ["protect_system", "quoted", "writable_directories"]

# What `strict` does not make read-only, and file systems of their own in any case.
_APART = ("/dev", "/proc", "/sys")
_OTHERS = (*_APART, "/run")
_PLAIN = re.compile(r"[A-Za-z0-9/._+:,=@-]+")
_MOST = 32


def protect_system(seen: Seen) -> Iterator[Setting | LeftOut]:
    """Yield the strictest `ProtectSystem` under which all writes of *seen* succeed.

    `strict` with the directories that were written to; where these cannot be said, `full` or
    `yes`, which keep `/usr`, `/boot` and, as `full`, `/etc` from being changed.
    """
    written = [path for path in seen.paths if path.is_written]
    if not seen.baseline.observation.file_changes:
        yield LeftOut(
            "ProtectSystem", "what was done to files without opening them was not recorded"
        )
        return
    for path in written:
        if not path.path.startswith("/"):
            evidence = f"it wrote {printable(path.path)}, and where that is is not known"
            yield LeftOut("ProtectSystem", evidence, (path.rule,))
            return
    places = writable_directories(written)
    if places is not None:
        yield from _strict(written, places)
        return
    for level, directories in (
        ("full", ("/usr", "/boot", "/efi", "/etc")),
        ("yes", ("/usr", "/boot", "/efi")),
    ):
        if seen.under(*directories, is_written=True) is None:
            evidence = f"it wrote nothing below {', '.join(directories)}"
            yield Setting("ProtectSystem", (level,), "unused", evidence)
            return
    for path in written:
        if any(lies_in(path.path, directory) for directory in ("/usr", "/boot", "/efi")):
            yield because_of("ProtectSystem", path)
            return


def _strict(written: list[Path], places: list[str]) -> Iterator[Setting]:
    evidence = "it wrote nowhere but where `ReadWritePaths` says"
    yield Setting("ProtectSystem", ("strict",), "unused", evidence)
    if places:
        rules = {
            path.rule for path in written if not any(lies_in(path.path, apart) for apart in _APART)
        }
        # Without the `-` a unit does not start where one of them is missing.
        yield Setting(
            "ReadWritePaths",
            (" ".join(quoted(f"-{place}") for place in places),),
            "observed",
            "it wrote there",
            tuple(sorted(rules)),
        )


def writable_directories(written: Iterable[Path]) -> list[str] | None:
    """Return directories, in bytes as text, outside of which nothing of *written* was changed.

    None where they would be the root, or too many. Changing a file without its name would not
    need its directory, but what is there may be a new file each time.
    """
    places: dict[str, set[str]] = {}
    for path in written:
        if any(lies_in(path.path, apart) for apart in _APART):
            continue
        directory = _directory(path.path)
        places.setdefault(directory, set()).update(path.access)
    merged = _merged(places)
    if "/" in merged or len(merged) > _MOST:
        return None
    return sorted(merged)


def _merged(places: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return *places* without those in others, and as one where a file may have moved between."""
    while True:
        tops = {
            place
            for place in places
            if not any(place != other and _is_in(place, other) for other in places)
        }
        found: dict[str, set[str]] = {top: set() for top in tops}
        for place, letters in places.items():
            found[next(top for top in tops if _is_in(place, top))] |= letters
        pair = next(
            (
                (here, there)
                for here in sorted(found)
                for there in sorted(found)
                if here != there
                and found[here] & set("dl")
                and found[there] & set("nl")
                and not _are_apart(here, there)
            ),
            None,
        )
        if pair is None:
            return found
        common = _common(*pair)
        found.setdefault(common, set()).update(found[pair[0]] | found[pair[1]])
        places = found


def _are_apart(here: str, there: str) -> bool:
    """Return whether two places are in two file systems anyway: no file moves between them."""
    return any(lies_in(here, other) != lies_in(there, other) for other in _OTHERS)


def _common(here: str, there: str) -> str:
    pairs = zip(here.split("/"), there.split("/"), strict=False)
    shared = []
    for one, other in pairs:
        if one != other:
            break
        shared.append(one)
    return "/".join(shared) or "/"


def _is_in(place: str, other: str) -> bool:
    return other in {"/", place} or place.startswith(f"{other}/")


def _directory(path: str) -> str:
    """Return the directory of *path* as far up as its name is known and can be said."""
    known: list[str] = []
    for part in path.split("/")[1:-1]:
        raw = unescape(part)
        if "*" in part or not _is_sayable(raw):
            break
        known.append(raw.decode())
    return "/" + "/".join(known)


def _is_sayable(name: bytes) -> bool:
    """Return whether a line of a unit's file can hold *name*: UTF-8, and no control."""
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False


def quoted(word: str) -> str:
    """Return *word* as systemd.syntax(7) and specifiers take it: one word, and itself."""
    word = word.replace("%", "%%")
    if _PLAIN.fullmatch(word.replace("%", "")):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
