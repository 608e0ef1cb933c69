"""Whether a container starts under a seccomp profile: by what its runtime calls under the filter.

Which of those calls a runtime cannot do without was measured, each refused alone. So `does not
start` is said where a measured start failed, and `starts` where everything that the runtime was
seen to call is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ethogram.contracts.policy_host import PolicyHost, Verdict
from ethogram.contracts.policy_seccomp import Host, Profile, read_profile
from ethogram.errors import ExportError
from exporters.protocol import shown
from exporters.replay.protocol import Policy
from exporters.runtime_base import RuntimeBase, load_runtime_bases

__all__ = ["SeccompFitness", "load_start_calls"]

# What the kernel calls each action, in `/proc/sys/kernel/seccomp/actions_avail`.
_KERNEL_WORDS = {
    "SCMP_ACT_KILL": "kill_thread",
    "SCMP_ACT_KILL_THREAD": "kill_thread",
    "SCMP_ACT_KILL_PROCESS": "kill_process",
    "SCMP_ACT_TRAP": "trap",
    "SCMP_ACT_ERRNO": "errno",
    "SCMP_ACT_TRACE": "trace",
    "SCMP_ACT_LOG": "log",
    "SCMP_ACT_NOTIFY": "user_notif",
    "SCMP_ACT_ALLOW": "allow",
}
_KNOWN_ARCHITECTURES = frozenset(
    f"SCMP_ARCH_{name}"
    for name in (
        *("X86", "X86_64", "X32", "ARM", "AARCH64", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL"),
        *("MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X"),
        "LOONGARCH64",
    )
)
_MACHINES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
# Keys of other dialects, which containerd and CRI-O leave out without a word.
_FOREIGN = ("archMap", "includes", "excludes", "name", "defaultErrno")
_PERMITTING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
_FLAGS_SINCE = (1, 2)


class _Needed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    no_new_privs: bool
    refused_with: Literal["ENOSYS", "EPERM"]
    calls: frozenset[str]


class StartCalls(BaseModel):
    """What one version of a runtime does not start a container without."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["ethogram.start-calls/1"] = Field(alias="schema")
    runtime: str
    version: str
    arch: str
    how: str
    sets: tuple[_Needed, ...]

    def without(self, *, no_new_privs: bool) -> frozenset[str]:
        """Return the calls that stop a start however they are refused."""
        calls = [each.calls for each in self.sets if each.no_new_privs == no_new_privs]
        return frozenset.intersection(*calls) if calls else frozenset()


@cache
def load_start_calls() -> tuple[StartCalls, ...]:
    """Return the shipped data."""
    folder = files("exporters") / "data" / "start_calls"
    found = [
        StartCalls.model_validate_json(file.read_bytes())
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    return tuple(sorted(found, key=lambda one: (one.runtime, one.version, one.arch)))


@dataclass(frozen=True, slots=True)
class SeccompFitness:
    """Judges profiles by the shipped *bases* and *needed* calls."""

    bases: tuple[RuntimeBase, ...]
    needed: tuple[StartCalls, ...]

    @classmethod
    def load(cls) -> SeccompFitness:
        """Return one with the data that ships with it."""
        return cls(load_runtime_bases(), load_start_calls())

    def judge(self, policy: Policy, host: PolicyHost) -> tuple[Verdict, Sequence[str]]:
        """Return what becomes of a container with the profile *policy* on *host*."""
        try:
            profile = read_profile(policy.document, _place(host))
        except ExportError as error:
            return "does not start", [error.message]
        is_object = "kind" in policy.document
        document = policy.document["spec"] if is_object else policy.document
        if fatal := list(_refusals(document, host)):
            return "does not start", fatal
        remarks = [*_remarks(document, host), *_installation(policy, host)]
        if is_object:
            remarks.append("the Security Profiles Operator has to install it on each node")
        by_runtime = [
            self._of_runtime(document, profile, runtime, version, host)
            for runtime, version in sorted(host.runtimes.items())
        ]
        if not by_runtime:
            return "cannot tell", ["neither runc nor crun is installed", *remarks]
        reasons = [reason for _, some in by_runtime for reason in some]
        verdicts = {one for one, _ in by_runtime}
        if len(verdicts & {"does not start", "cannot tell"}) == len(verdicts) == 1:
            return verdicts.pop(), [*reasons, *remarks]
        if reasons or remarks:
            return "starts but", [*reasons, *remarks]
        return "starts", [
            f"under {runtime} {version}" for runtime, version in sorted(host.runtimes.items())
        ]

    def _of_runtime(
        self,
        document: Mapping[str, Any],
        profile: Profile,
        runtime: str,
        version: str,
        host: PolicyHost,
    ) -> tuple[Verdict, list[str]]:
        label = f"{runtime} {version}"
        release, arch = version.partition("+")[0], host.machine
        if document.get("flags") and runtime == "runc" and _release(version) < _FLAGS_SINCE:
            return "does not start", [f"{label} refuses `flags`: it takes them from 1.2 on"]
        base = next(
            (
                one
                for one in self.bases
                if one.measured and (one.runtime, one.version, one.arch) == (runtime, release, arch)
            ),
            None,
        )
        if base is None:
            return "cannot tell", [f"{label} was not measured: what it calls itself is not known"]
        needed = next(
            one for one in self.needed if (one.runtime, one.version, one.arch)
            == (runtime, release, arch)
        )  # fmt: skip
        return _by_calls(profile, label, base, needed, host)


def _place(host: PolicyHost) -> Host:
    parts = host.kernel.partition("-")[0].split(".")
    release = tuple(int(part[:9]) for part in parts if part.isascii() and part.isdigit())
    return Host(machine=host.machine, kernel=release or None)


def _by_calls(
    profile: Profile,
    label: str,
    base: RuntimeBase,
    needed: StartCalls,
    host: PolicyHost,
) -> tuple[Verdict, list[str]]:
    reasons: list[str] = []
    stopped: set[bool] = set()
    for no_new_privs, words in ((True, "with no_new_privs"), (False, "without no_new_privs")):
        denied = {
            name: place
            for name, place in base.calls(no_new_privs).items()
            if not _allows(profile, base.arch, name, host)
        }
        if fatal := sorted(denied.keys() & needed.without(no_new_privs=no_new_privs)):
            stopped.add(no_new_privs)
            reasons.append(f"{words} {label} does not start it: it needs {shown(fatal)}")
        elif at_start := sorted(name for name, place in denied.items() if "run" in place):
            reasons.append(f"{words} {label} calls {shown(at_start)}, and does without")
        elif others := sorted(denied):
            reasons.append(
                f"{words} {label} calls {shown(others)} at times, or for what is executed in it"
            )
    if stopped == {True, False}:
        return "does not start", reasons
    return ("starts but" if reasons else "starts"), reasons


def _allows(profile: Profile, arch: str, name: str, host: PolicyHost) -> bool:
    if host.known_calls is not None and name not in host.known_calls:
        return profile.default.is_permitted  # a rule that libseccomp does not know is no rule
    answer = profile.verdict(arch, name)
    return answer.is_permitted or not answer.is_certain


def _refusals(document: Mapping[str, Any], host: PolicyHost) -> Iterator[str]:
    """Yield what no runtime takes, and no kernel like this one."""
    for name in document.get("architectures") or ():
        if name not in _KNOWN_ARCHITECTURES:
            yield f"there is no architecture `{name}`"
    actions = set(_actions(document))
    for action in sorted(actions):
        word = _KERNEL_WORDS.get(action)
        if word is None:
            yield f"there is no action `{action}`"
        elif host.actions is not None and word not in host.actions:
            yield f"the kernel ({host.kernel}) does not know `{action}`"
    if document.get("defaultAction") == "SCMP_ACT_NOTIFY":
        yield "`SCMP_ACT_NOTIFY` as the default: nobody could be asked about it"
    elif "SCMP_ACT_NOTIFY" in actions and not document.get("listenerPath"):
        yield "`SCMP_ACT_NOTIFY` without `listenerPath`: nobody listens"
    is_denying = document.get("defaultAction") not in _PERMITTING
    if is_denying and not any(action in _PERMITTING for action in actions):
        yield "it allows no call at all"


def _actions(document: Mapping[str, Any]) -> Iterator[str]:
    yield str(document.get("defaultAction"))
    for entry in document.get("syscalls") or ():
        yield str(entry.get("action")) if isinstance(entry, Mapping) else "?"


def _remarks(document: Mapping[str, Any], host: PolicyHost) -> Iterator[str]:
    entries = [each for each in document.get("syscalls") or () if isinstance(each, Mapping)]
    # A name that is left out gets the default: who refuses it either way is not told of it.
    is_open = document.get("defaultAction") in _PERMITTING
    telling = [each for each in entries if (each.get("action") in _PERMITTING) != is_open]
    listed = {name for each in telling for name in each.get("names") or () if isinstance(name, str)}
    if host.known_calls is None:
        yield "libseccomp is not here: which names it would leave out is not known"
    elif unknown := sorted(listed - host.known_calls):
        yield (
            f"libseccomp {host.libseccomp} does not know {shown(unknown)}: left out without a word"
        )
    foreign = [key for key in _FOREIGN if key in document or any(key in each for each in entries)]
    if foreign:
        keys = ", ".join(f"`{key}`" for key in foreign)
        yield f"containerd and CRI-O leave {keys} out without a word: export the OCI form"
    native = _MACHINES.get(host.machine)
    architectures = document.get("architectures") or ()
    if architectures and native not in architectures:
        yield f"it was not made for {host.machine}"
    if "SCMP_ACT_LOG" in set(_actions(document)) and "log" not in (host.actions_logged or {"log"}):
        yield "the kernel writes nothing down: `log` is not in `kernel.seccomp.actions_logged`"


def _installation(policy: Policy, host: PolicyHost) -> Iterator[str]:
    place = policy.installs_as
    if place is None or host.installed is None:
        return
    found = host.installed.get(place)
    if found is None:
        yield f"`{place}` is not below the kubelet's seccomp directory: pods that name it wait"
    elif not found.startswith(place.removesuffix(".json").rpartition("-")[2]):
        yield f"what is below the kubelet's seccomp directory as `{place}` is another file"


def _release(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit())
