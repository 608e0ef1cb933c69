"""What recordings show of what a manifest asks for: was it used, and what would have been enough.

A baseline of the same owner and container answers. What no recording looked at is `unknown`, and
so is what cannot be seen from inside: that nothing is known is never told as "unused".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension, FileValue, PeerValue, Rule
from ethogram.contracts.suppression_file import fits
from ethogram.posture.findings import Evidence, PostureFinding, Verdict
from ethogram.posture.host import TOKEN_PLACES, mounts_of, normal_path
from ethogram.posture.objects import KubeObject
from ethogram.posture.pods import mapping, sequence, text
from exporters.admission_privileged import privilege_of
from exporters.admission_rules import digests_of, used_capabilities
from exporters.protocol import shown
from exporters.securitycontext_choices import Choices
from exporters.securitycontext_fields import Field, capability_fields, fields_of

__all__ = ["UsedBy"]

_CHANGES = frozenset("wctandlp")
_CHOICES = Choices(form="strategic", profile="none", seccomp=None, no_new_privs=None)
_HOST: Mapping[str, str] = MappingProxyType(
    {"hostNetwork": "net", "hostPID": "pid", "hostIPC": "ipc"}
)


@dataclass(frozen=True, slots=True)
class UsedBy:
    """Baselines, to be asked about findings: an `ethogram.posture.audit.Judge`."""

    baselines: Sequence[Baseline]

    def __call__(self, finding: PostureFinding, one: KubeObject) -> Evidence | None:
        """Return what was used of what *finding* is about; None where there is no baseline."""
        judge = _JUDGES.get(finding.check)
        if judge is None:
            return None
        found = [self._of(finding, name) for name in _containers(finding, one)]
        if not found or any(each is None for each in found):
            return None
        known = [each for each in found if each is not None]
        return _joined([_of_image(judge(each, finding, one), each, finding) for each in known])

    def _of(self, finding: PostureFinding, container: str) -> Baseline | None:
        """Return the baseline of *container*: one learnt in the same namespace goes first."""
        owner = finding.owner
        fitting = [
            one for one in self.baselines
            if (one.match.kind, one.match.name) == (owner.kind, owner.name)
            and one.match.container in (None, container)
            and (one.match.namespace is None or fits(one.match.namespace, owner.namespace))
        ]  # fmt: skip
        fitting.sort(key=lambda one: one.subject.namespace != owner.namespace)
        return fitting[0] if fitting else None


def _of_image(evidence: Evidence, baseline: Baseline, finding: PostureFinding) -> Evidence:
    """Return *evidence*, saying so where it is of another image than the one that is asked for."""
    _, is_pinned, digest = finding.image.partition("@")
    asked = {digest} if is_pinned else set(finding.image_digests)
    digests = digests_of(baseline)
    if not asked or not digests or asked & set(digests):
        return evidence
    return replace(evidence, words=f"{evidence.words} (recorded of another image)")


def _containers(finding: PostureFinding, one: KubeObject) -> list[str]:
    """Return the containers that decide: the finding's own, those of its volume, or all."""
    pod = one.pod
    if finding.container or pod is None:
        return [finding.container] if finding.container else []
    if "volumes" in finding.path:
        volume = _volume_of(finding, one)
        return sorted({container.name for container, _, _ in mounts_of(pod, volume)})
    return [container.name for container in pod.containers() if container.kind == "container"]


def _volume_of(finding: PostureFinding, one: KubeObject) -> str:
    return text(_at_volume(finding, one).get("name"))


def _at_volume(finding: PostureFinding, one: KubeObject) -> Mapping[str, Any]:
    node: Any = one.body
    for part in finding.path[: finding.path.index("volumes") + 2]:
        node = sequence(node)[part] if isinstance(part, int) else mapping(node).get(part)
    return mapping(node)


_ORDER: tuple[Verdict, ...] = ("unused", "partly", "used", "unknown")


def _joined(found: Sequence[Evidence]) -> Evidence:
    """Return what holds of all containers: the gravest of them, and no patch unless all agree."""
    if len(found) == 1:
        return found[0]
    worst = max(found, key=lambda one: _ORDER.index(one.verdict))
    is_one = all(one.verdict == "unused" for one in found)
    words = "; ".join(dict.fromkeys(one.words for one in found))
    return Evidence(
        worst.verdict, words, {}, worst.spec if is_one else {}, worst.rules, worst.seconds,
        min(one.instances for one in found), min(one.windows for one in found), worst.state,
    )  # fmt: skip


# --- How long it was watched ---------------------------------------------------------------------


def _watched(baseline: Baseline) -> str:
    """Return how long and how often it was watched: `9 days and 3 replicas`."""
    seen = baseline.observation
    seconds = seen.wall_seconds or seen.seconds
    instances = f"{seen.instances:,} replica{'' if seen.instances == 1 else 's'}"
    return f"{_span(seconds)} and {instances}"


def _span(seconds: float) -> str:
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}s"
    return f"{seconds:.0f} seconds"


def _evidence(
    baseline: Baseline,
    verdict: Verdict,
    words: str,
    *,
    context: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    rules: Iterable[str] = (),
) -> Evidence:
    seen = baseline.observation
    if seen.state != "complete":
        words += f" (what was recorded is {seen.state})"
    return Evidence(
        verdict, words, context or {}, spec or {}, tuple(rules),
        seen.wall_seconds or seen.seconds, seen.instances, seen.windows, seen.state,
    )  # fmt: skip


def _unseen(baseline: Baseline, dimension: Dimension) -> Evidence | None:
    """Return that nobody looked, where nobody did."""
    if dimension not in (baseline.observation.not_observed or ()):
        return None
    return _evidence(baseline, "unknown", f"no recording of it looked at {dimension}")


# --- Capabilities, and being privileged ----------------------------------------------------------


def _used_words(baseline: Baseline) -> str:
    names = [rule.value.name.removeprefix("CAP_") for rule in used_capabilities(baseline)]
    if not names:
        return "no capability"
    return f"only {', '.join(sorted(names))}"


def _least(baseline: Baseline) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the capabilities that it used as a field, and the rules behind that."""
    found = next(one for one in capability_fields(baseline) if isinstance(one, Field))
    return {"capabilities": found.value}, found.rules


def _privileged(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
    del finding, one
    for dimension in ("capabilities", "files"):
        if unseen := _unseen(baseline, dimension):
            return unseen
    privilege = privilege_of(baseline, frozenset())
    if privilege.is_own:
        return _evidence(baseline, "used", privilege.findings[0].message)
    context, rules = _least(baseline)
    context |= {"privileged": False} | _escalation_field(baseline)
    words = (
        f"privileged, yet in {_watched(baseline)} it used {_used_words(baseline)}: drop the rest"
    )
    return _evidence(baseline, "unused", words, context=context, rules=rules)


def _escalation_field(baseline: Baseline) -> dict[str, Any]:
    gained, had = baseline.observation.privileges_gained, baseline.observation.no_new_privs
    return {"allowPrivilegeEscalation": False} if gained is False or (had and not gained) else {}


def _capabilities(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
    del one
    if unseen := _unseen(baseline, "capabilities"):
        return unseen
    context, rules = _least(baseline)
    asked = finding.detail.upper().removeprefix("CAP_")
    used = {rule.value.name: rule.id for rule in used_capabilities(baseline)}
    watched, words = _watched(baseline), _used_words(baseline)
    if asked in ("ALL", "DROP"):
        verdict: Verdict = "partly" if used else "unused"
        said = f"in {watched} it used {words}: drop the rest"
        return _evidence(baseline, verdict, said, context=context, rules=rules)
    if identity := used.get(f"CAP_{asked}"):
        said = f"it used {asked} in {watched}"
        return _evidence(baseline, "used", said, rules=(identity,))
    said = f"in {watched} it used {words}, and not {asked}: take it out"
    return _evidence(baseline, "unused", said, context=context, rules=rules)


def _ptrace(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
    del finding, one
    if unseen := _unseen(baseline, "capabilities"):
        return unseen
    found = {rule.value.name: rule.id for rule in used_capabilities(baseline)}
    both = [name for name in ("CAP_SYS_PTRACE", "CAP_SYS_ADMIN") if name in found]
    if both:
        names = " and ".join(name.removeprefix("CAP_") for name in both)
        said = f"it used {names} in {_watched(baseline)}"
        return _evidence(baseline, "used", said, rules=[found[name] for name in both])
    if privilege_of(baseline, frozenset()).is_own:
        return _evidence(baseline, "unknown", "it used what only a privileged container has")
    context, rules = _least(baseline)
    context |= {"privileged": False}
    said = f"in {_watched(baseline)} it used {_used_words(baseline)}, and looked into no process"
    return _evidence(baseline, "unused", said, context=context, rules=rules)


# --- Fields of a securityContext -----------------------------------------------------------------


def _as_field(name: str, question: str) -> Callable[..., Evidence]:
    """Return the judge of a field that evidence sets, or gives the reason not to."""

    def judge(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
        del finding, one
        fields = [one for one in fields_of(baseline, _CHOICES) if isinstance(one, Field)]
        mine = {one.name: one for one in fields}
        if name in mine:
            context = {name: mine[name].value}
            if name == "runAsNonRoot" and "runAsUser" in mine:
                context["runAsUser"] = mine["runAsUser"].value
            said = f"in {_watched(baseline)} {mine[name].evidence}"
            return _evidence(baseline, "unused", said, context=context)
        verdict = _of_unset(name, baseline)
        said = question if verdict == "used" else f"whether {question} is not known"
        return _evidence(baseline, verdict, said)

    return judge


def _of_unset(name: str, baseline: Baseline) -> Verdict:
    """Return whether a field is left out because its opposite was seen."""
    seen = baseline.observation
    match name:
        case "allowPrivilegeEscalation":
            return "used" if seen.privileges_gained else "unknown"
        case "runAsNonRoot":
            return "used" if seen.runs_as and 0 in seen.runs_as else "unknown"
    return "used"


def _seccomp(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
    del finding, one
    if unseen := _unseen(baseline, "syscalls"):
        return unseen
    count = len({rule.value.nr for rule in baseline.rules.syscalls})
    said = (
        f"in {_watched(baseline)} it used {count:,} system call{'' if count == 1 else 's'}:"
        " `ethogram export --to seccomp` writes a profile of just those"
    )
    return _evidence(baseline, "partly", said)


def _host_namespace(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
    del one
    name = _HOST[finding.detail]
    seen = baseline.observation
    if seen.host_namespaces and name not in seen.host_namespaces:
        said = f"in {_watched(baseline)} it ran without the host's {name} namespace"
        return _evidence(baseline, "unused", said, spec={finding.detail: False})
    said = f"it ran in the host's {name} namespace, and what it needs of that does not show"
    return _evidence(baseline, "unknown", said)


# --- Files ---------------------------------------------------------------------------------------


def _below(baseline: Baseline, place: str) -> Iterator[Rule[FileValue]]:
    """Yield the rules for files that are, or could be, at or below *place*."""
    place = place.rstrip("/") or "/"
    below = place if place == "/" else f"{place}/"
    for rule in baseline.rules.files:
        if rule.evidence.is_the_runtimes or not rule.value.access:
            continue
        path = rule.value.path
        literal, star, _ = path.partition("*")
        if path == place or path.startswith(below) or (star and below.startswith(literal)):
            yield rule


def _token(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
    del finding, one
    if unseen := _unseen(baseline, "files"):
        return unseen
    if found := [rule for place in TOKEN_PLACES for rule in _below(baseline, place)]:
        said = f"it read its token in {_watched(baseline)}"
        return _evidence(baseline, "used", said, rules=sorted({rule.id for rule in found}))
    said = f"in {_watched(baseline)} it never read its token: it needs none"
    spec = {"automountServiceAccountToken": False}
    return _evidence(baseline, "unused", said, spec=spec)


def _host_path(baseline: Baseline, finding: PostureFinding, one: KubeObject) -> Evidence:
    if unseen := _unseen(baseline, "files") or _unseen(baseline, "peers"):
        return unseen
    volume, pod = _volume_of(finding, one), one.pod
    assert pod is not None  # it has a volume
    mine = [
        (container, text(mount.get("mountPath")))
        for container, _, mount in mounts_of(pod, volume)
        if baseline.match.container in (None, container.name)
    ]
    places = sorted({place for _, place in mine if place})
    found = [rule for place in places for rule in _below(baseline, place)]
    found_ids = sorted({rule.id for rule in found})
    # A socket is known by the name that it was bound to: on the host.
    names = [normal_path(place) for place in (*places, _host_place(finding, one))]
    connected = [rule for rule in baseline.rules.peers
                 if any(_is_connected(rule.value, name) for name in names)]  # fmt: skip
    where, watched = shown([f"`{place}`" for place in places]), _watched(baseline)
    if connected:
        ids = sorted({*found_ids, *(rule.id for rule in connected)})
        return _evidence(baseline, "used", f"it connected to {where} in {watched}", rules=ids)
    if not found:
        return _evidence(
            baseline, "unused", f"in {watched} it opened nothing at {where}: take it out"
        )
    if any(set(rule.value.access) & _CHANGES for rule in found):
        said = f"it changed files at {where} in {watched}"
        return _evidence(baseline, "used", said, rules=found_ids)
    said = f"in {watched} it only read at {where}: mount it read-only"
    spec = _read_only([(container.kind, container.name, place) for container, place in mine])
    return _evidence(baseline, "partly", said, spec=spec, rules=found_ids)


def _is_connected(peer: PeerValue, place: str) -> bool:
    if not peer.protocol.startswith("unix") or not peer.address.startswith("/"):
        return False
    address = normal_path(peer.address)
    return address == place or address.startswith(f"{place.rstrip('/')}/")


def _host_place(finding: PostureFinding, one: KubeObject) -> str:
    """Return the path of the host that the volume of *finding* is."""
    node = _at_volume(finding, one)
    return text(mapping(node.get("hostPath")).get("path"))


def _read_only(mounts: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for kind, name, place in mounts:
        if kind != "ephemeral":
            key = "initContainers" if kind == "init" else "containers"
            mount = {"mountPath": place, "readOnly": True}
            spec.setdefault(key, []).append({"name": name, "volumeMounts": [mount]})
    return spec


_JUDGES: Mapping[str, Callable[[Baseline, PostureFinding, KubeObject], Evidence]] = (
    MappingProxyType(
        {
            "privileged": _privileged,
            "capabilities_baseline": _capabilities,
            "capabilities_restricted": _capabilities,
            "host-pid-ptrace": _ptrace,
            "allowPrivilegeEscalation": _as_field(
                "allowPrivilegeEscalation", "an executable raised its caller's privileges"
            ),
            "runAsNonRoot": _as_field("runAsNonRoot", "it ran as root"),
            "runAsUser": _as_field("runAsNonRoot", "it ran as root"),
            "procMount": _as_field("procMount", "it used what /proc hides by default"),
            "procMount_restricted": _as_field("procMount", "it used what /proc hides by default"),
            "seccompProfile_baseline": _seccomp,
            "seccompProfile_restricted": _seccomp,
            "hostNamespaces": _host_namespace,
            "token-automount": _token,
            "hostPathVolumes": _host_path,
            "dangerous-host-path": _host_path,
            "runtime-socket": _host_path,
        }
    )
)
