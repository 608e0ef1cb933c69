"""`ethogram doctor --policies`: would containers start here under these policies?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethogram.cli.screen import count, output, say
from ethogram.contracts.escape import escape, printable
from ethogram.errors import PreflightError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.policy_host import Fitness, PolicyHost

__all__ = ["examine"]

SCHEMA = "ethogram.doctor-policies/1"


def examine(directory: Path, output_format: str) -> None:
    """Print the verdict of each policy in *directory*, an export or a policy file.

    Raises `PreflightError` where one does not start here.
    """
    host, found = _judged(directory)
    if output_format == "json":
        print(json.dumps(_document(host, found), indent=2))
    else:
        _print(host, found)
    failed = [one for one in found if one.verdict == "does not start"]
    if failed:
        raise PreflightError(
            f"{count(len(failed), 'policy', 'policies')} of {len(found)} cannot be used here, first"
            f" `{escape(failed[0].path)}`",
            hint=printable(failed[0].reasons[0]) if failed[0].reasons else None,
        )
    say(f"{count(len(found), 'policy', 'policies')}: none that does not start here")


def _judged(directory: Path) -> tuple[PolicyHost, list[Fitness]]:
    from ethogram.contracts.policy_files import read_policies
    from exporters.fitness import fitness_of, names_asked
    from exporters.fitness_seccomp import SeccompFitness
    from exporters.replay.protocol import Policy
    from exporters.replay.registry import replayer_of
    from exporters.runtime_base import load_runtime_bases
    from profiler.policy_host import look

    documents = read_policies(directory)
    if not documents:
        raise UsageError(f"`{escape(str(directory))}` holds no policy")
    # A runtime's own calls are asked for too: what libseccomp does not know it cannot be allowed.
    own = {name for base in load_runtime_bases() for name in (*base.calls(None), *base.occasional)}
    names = own.union(*(names_asked(one.content) for one in documents))
    profiles = {one.entry.installs_as for one in documents if one.entry and one.entry.installs_as}
    host = look(names, profiles)
    seccomp = SeccompFitness.load()
    found = []
    for one in documents:
        replayer = replayer_of(one.path, one.content)
        entry = one.entry
        target = replayer.target if replayer else entry.target if entry else "something else"
        key, place = (entry.workload_key, entry.installs_as) if entry else (None, None)
        policy = Policy(one.path, one.content, key, place)
        found.append(fitness_of(target, policy, host, seccomp))
    return host, list(dict.fromkeys(found))


def _document(host: PolicyHost, found: Sequence[Fitness]) -> dict[str, Any]:
    from exporters.fitness import worst

    return {
        "schema": SCHEMA,
        "verdict": worst(found),
        "host": {
            "machine": host.machine,
            "kernel": host.kernel,
            "runtimes": dict(host.runtimes),
            "engines": dict(host.engines),
            "libseccomp": host.libseccomp,
            "seccomp_actions": sorted(host.actions or ()),
            "seccomp_actions_logged": sorted(host.actions_logged or ()),
            "has_kubelet": host.installed is not None,
            "network_plugins": list(host.network_plugins or ()),
        },
        "policies": [
            {
                "path": escape(one.path),
                "target": one.target,
                "verdict": one.verdict,
                "reasons": [printable(reason) for reason in one.reasons],
            }
            for one in found
        ],
    }


def _print(host: PolicyHost, found: Sequence[Fitness]) -> None:
    console = output()
    parts = [f"Linux {host.kernel}", host.machine]
    parts += [f"{name} {version}" for name, version in {**host.runtimes, **host.engines}.items()]
    parts += [f"libseccomp {host.libseccomp}"] if host.libseccomp else []
    console.print(printable(", ".join(parts)), soft_wrap=True)
    styles = {"does not start": "bold red", "cannot tell": "yellow", "starts but": "yellow"}
    from rich.text import Text

    for one in found:
        line = Text(f"{one.verdict}: ", styles.get(one.verdict, "green"))
        line.append(escape(one.path), "default")
        console.print(line, soft_wrap=True)
        for reason in one.reasons:
            console.print(f"  {printable(reason)}", soft_wrap=True)
