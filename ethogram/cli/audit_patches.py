"""One patch for each owner: all that an audit would change of it, in a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethogram.cli.options import refuse_existing
from ethogram.cli.screen import count, say
from ethogram.contracts.escape import printable
from ethogram.contracts.strict_yaml import dump_yaml

if TYPE_CHECKING:
    from ethogram.posture.findings import PostureFinding, Report
    from ethogram.posture.objects import Reference

__all__ = ["owner_patches", "write_patches"]


def owner_patches(report: Report) -> dict[Reference, tuple[dict[str, Any], list[PostureFinding]]]:
    """Return one patch for each owner, with the findings that it settles; not the exempted."""
    from ethogram.posture.patches import combined

    found: dict[Reference, list[PostureFinding]] = {}
    for one in report.open:
        if one.patch is not None:
            found.setdefault(one.owner, []).append(one)
    # Evidence knows what was used, so that it has the last word.
    ordered = {
        owner: sorted(some, key=lambda one: one.evidence is not None)
        for owner, some in sorted(found.items())
    }
    return {
        owner: (combined(one.patch for one in some if one.patch), some)
        for owner, some in ordered.items()
    }


def write_patches(report: Report, directory: Path, *, force: bool) -> None:
    """Write the patches of *report* to *directory*; `UsageError` where one is there already."""
    patches = owner_patches(report)
    files = {directory / _file_name(owner): owner for owner in patches}
    for path in files:
        refuse_existing(path, force=force)
    directory.mkdir(parents=True, exist_ok=True)
    for path, owner in files.items():
        patch, some = patches[owner]
        lines = "".join(f"# {line}\n" for line in _head(owner, some))
        path.write_text(lines + dump_yaml(patch), encoding="utf-8")
    say(f"wrote {count(len(files), 'patch', 'patches')} to `{directory}`")


def _file_name(owner: Reference) -> str:
    """Return a name that is a file's, whatever the manifest says."""
    parts = (owner.namespace or "_", owner.kind, owner.name)
    words = ["".join(c if c.isalnum() or c in "-_" else "_" for c in part)[:80] for part in parts]
    return f"{words[0]}.{words[1]}-{words[2]}.patch.yaml"


def _head(owner: Reference, some: list[PostureFinding]) -> Iterator[str]:
    namespace = f"-n {owner.namespace} " if owner.namespace else ""
    who = f"{owner.kind.lower()} {owner.name}"
    yield printable(f"kubectl {namespace}patch {who} --type strategic --patch-file THIS_FILE")
    for one in some:
        yield printable(f"{one.check}: {one.message}")
        if one.evidence is not None:
            yield printable(f"  {one.evidence.words}")
