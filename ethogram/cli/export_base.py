"""What `export --base` does: policies that are there already get what evidence demands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.contracts.escape import escape
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import ExportError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.artifacts import Artifact
    from ethogram.contracts.baseline import Baseline
    from exporters.protocol import Exporter, Finding

__all__ = ["Bases"]

_LIMIT_BYTES = 16 << 20
# The end of `installs_as`: a digest of the profile.
_DIGEST = re.compile(r"[0-9a-f]{12}(?=\.json$)")


class Bases:
    """The policies in *path*: a directory laid out as an export, or one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._refined: list[str] = []

    def refined(
        self, items: Sequence[tuple[Exporter, Artifact | Finding]], baseline: Baseline
    ) -> list[tuple[Exporter, Artifact | Finding]]:
        """Return *items*, all that was made of *baseline*, refined where a policy is there."""
        from ethogram.contracts.artifacts import Artifact

        names: dict[str, str] = {}
        found: dict[int, list[Artifact | Finding]] = {}
        targets: set[str] = set()
        # An admission policy asks for the profile by its name, which has a digest of its bytes.
        for number in sorted(range(len(items)), key=lambda one: not _is_named(items[one][1])):
            item = items[number][1]
            if not isinstance(item, Artifact):
                found[number] = [item]
                continue
            item = _renamed(item, names)
            content = self._content(item)
            parts = [item] if content is None else list(self._of(item, content, baseline))
            found[number] = list(parts)
            if content is not None:
                targets.add(items[number][0].name)
            for part in parts:
                if isinstance(part, Artifact) and part.installs_as and item.installs_as:
                    names[item.installs_as] = part.installs_as
        return [
            (items[number][0], one)
            for number in sorted(found)
            for one in found[number]
            if not (getattr(one, "of_whole", False) and items[number][0].name in targets)
        ]

    def refuse_unused(self) -> None:
        """Raise `UsageError` where nothing was refined: it is the directory of something else."""
        if not self._refined:
            raise UsageError(
                f"`{self._path}` has no policy that this export writes",
                hint="a directory has to be laid out as an export: `NAMESPACE/KIND-NAME/...`",
            )

    def _content(self, artifact: Artifact) -> bytes | None:
        if self._path.is_file():
            if self._refined:
                raise UsageError(
                    f"`{self._path}` is one policy, and this export writes several:"
                    f" `{self._refined[0]}`, `{artifact.path}`",
                    hint="name one baseline and one target, or a directory of policies",
                )
            path = self._path
        else:
            path = self._path / artifact.path
        try:
            with open_plain(path) as file:
                return file.read(_LIMIT_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UsageError(f"`{path}` cannot be read: {error.strerror}") from error

    def _of(
        self, made: Artifact, content: bytes, baseline: Baseline
    ) -> Iterator[Artifact | Finding]:
        from exporters.protocol import Finding
        from exporters.review.documents import dump, load
        from exporters.review.protocol import Refining, Tellable
        from exporters.review.registry import reviewer_of

        self._refined.append(made.path)
        where = self._path if self._path.is_file() else self._path / made.path
        try:
            documents = load(content, made.path)
            reviewer = reviewer_of(documents, target=made.target)
            if reviewer is None:
                raise ExportError(f"it is no policy of `{made.target}`")
            if not isinstance(reviewer, Refining):
                raise ExportError(f"a policy of `{made.target}` cannot be refined")
            refined = reviewer.refine(documents, made, baseline)
        except ExportError as error:
            raise ExportError(
                f"`{escape(str(where))}`: {error.message}", hint=error.hint
            ) from error
        bytes_now = dump(refined.documents, made.path)
        places = {one.place for one in refined.reasons}
        left_out = tuple(one for one in made.left_out if one.place not in places)
        now = replace(
            made, content=bytes_now, reasons=refined.reasons, left_out=left_out, tightness={}
        )
        yield _installable(now)
        yield from refined.findings
        if isinstance(reviewer, Tellable):
            told = reviewer.tell(refined.documents)
            yield Finding("info", f"refined, it comes to {told.tightness}; it {told.mode}")


def _is_named(item: Artifact | Finding) -> bool:
    return getattr(item, "installs_as", None) is not None


def _installable(artifact: Artifact) -> Artifact:
    """Return *artifact* with the digest of its bytes in the name that it is installed by."""
    if artifact.installs_as is None:
        return artifact
    digest = hashlib.sha256(artifact.content).hexdigest()[:12]
    return replace(artifact, installs_as=_DIGEST.sub(digest, artifact.installs_as))


def _renamed(artifact: Artifact, names: dict[str, str]) -> Artifact:
    content = artifact.content
    for old, new in names.items():
        content = content.replace(old.encode(), new.encode())
    return artifact if content == artifact.content else replace(artifact, content=content)
