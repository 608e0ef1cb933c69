"""Baseline -> the tightest securityContext that the behaviour supports, as a patch for its owner.

One container a file, as the strategic-merge patch that `kubectl patch` and a kustomization take.
The format has no mode that only logs: a field is set where the evidence supports it, else left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension
from ethogram.contracts.escape import printable
from ethogram.contracts.strict_yaml import dump_yaml
from ethogram.errors import ExportError
from exporters import seccomp
from exporters.admission_privileged import privilege_of
from exporters.files import artifact_of
from exporters.observed import require_observed
from exporters.protocol import Artifact, Finding, Options
from exporters.provenance import facts_about
from exporters.securitycontext_choices import SETTINGS, Choices, read_choices
from exporters.securitycontext_fields import Field, fields_of
from exporters.securitycontext_findings import about_capabilities, findings_about, refusal

__all__ = ["OWNERS", "SecurityContextExporter", "exporter"]

# Kind of the owner -> its API group and version, and where the spec of its pods is.
_TEMPLATE = ("spec", "template", "spec")
OWNERS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "CronJob": ("batch/v1", ("spec", "jobTemplate", *_TEMPLATE)),
        "DaemonSet": ("apps/v1", _TEMPLATE),
        "Deployment": ("apps/v1", _TEMPLATE),
        "Job": ("batch/v1", _TEMPLATE),
        "Pod": ("v1", ("spec",)),
        "ReplicaSet": ("apps/v1", _TEMPLATE),
        "ReplicationController": ("v1", _TEMPLATE),
        "StatefulSet": ("apps/v1", _TEMPLATE),
    }
)
_NEEDED: frozenset[Dimension] = frozenset({"capabilities", "files"})
_HOST: Mapping[str, str] = MappingProxyType(
    {"net": "hostNetwork", "pid": "hostPID", "ipc": "hostIPC"}
)


@dataclass(frozen=True, slots=True)
class SecurityContextExporter:
    """Writes one patch for each container of a Kubernetes workload.

    *profiles* is the exporter of the profile that the patch names.
    """

    profiles: seccomp.SeccompExporter
    name: str = "securitycontext"
    summary: str = "Kubernetes securityContext as a patch: the tightest that the behaviour supports"
    dimensions: frozenset[Dimension] = frozenset({"capabilities"})
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        choices = read_choices(options)
        if choices.seccomp is not None:
            self.profiles.check(choices.seccomp)

    def unenforced(self, options: Options) -> str:
        """Return what a patch does until it is enforced."""
        del options
        return "the profile that it names logs; once nothing shows, name the one that denies"

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the patch, then what there is to know about it."""
        self.check(options)
        choices = read_choices(options)
        if (reason := refusal(baseline, frozenset(OWNERS))) is not None:
            yield reason
            return
        require_observed(baseline, _NEEDED)
        privilege = privilege_of(baseline, frozenset())
        if privilege.is_own:
            yield from about_capabilities(baseline)
            return
        items = [*fields_of(baseline, choices), *self._profile(baseline, choices)]
        fields = [item for item in items if isinstance(item, Field)]
        yield _artifact(baseline, options, choices, fields)
        yield from (item for item in items if isinstance(item, Finding))
        yield from findings_about(baseline)

    def _profile(self, baseline: Baseline, choices: Choices) -> Iterator[Field | Finding]:
        """Yield the field that names the seccomp profile, and what there is to know about it."""
        if choices.profile == "runtime-default":
            # A patch merges mappings: the name of another profile has to be taken away.
            value = {"type": "RuntimeDefault", "localhostProfile": None}
            yield Field("seccompProfile", value, "default", "setting `seccomp=runtime-default`")
            yield Finding(
                "info",
                "the container runtime's default profile is not made from the baseline: whether it"
                " allows every recorded call is not checked",
            )
        if choices.seccomp is None:
            return
        try:
            items = list(self.profiles.export(baseline, choices.seccomp))
        except ExportError as error:
            about = f"no seccomp profile is named, as there is none to be made: {error.message}"
            yield Finding("warning", about, hint=error.hint)
            return
        names = sorted(
            item.installs_as for item in items if isinstance(item, Artifact) and item.installs_as
        )
        if len(names) > 1:
            yield Finding(
                "warning",
                "no seccomp profile is named: it ran on machines of several architectures, which"
                " have one profile each",
                hint="learn a baseline for each architecture, or pass"
                " `--set seccomp=runtime-default`",
                subject=" or ".join(names),
            )
            return
        kind = "denies" if choices.profile == "enforce" else "only logs"
        evidence = f"the profile learnt from its calls, the one that {kind}"
        value = {"type": "Localhost", "localhostProfile": names[0]}
        yield Field("seccompProfile", value, "observed", evidence)
        yield Finding(
            "info",
            f"it names the seccomp profile that {kind}, and does not start on a node without that"
            " file",
            hint="`--to seccomp` with the same settings writes it; bring it to every node first",
            subject=names[0],
        )


def exporter() -> SecurityContextExporter:
    """Return the exporter with the data that ships with it."""
    return SecurityContextExporter(seccomp.exporter())


def _artifact(
    baseline: Baseline, options: Options, choices: Choices, fields: Sequence[Field]
) -> Artifact:
    subject = baseline.subject
    is_init = subject.container_kind in ("init", "sidecar")
    containers = "initContainers" if is_init else "containers"
    place = ".".join((*OWNERS[subject.kind][1], f"{containers}[{subject.container}]"))
    text = "".join(
        f"{line}\n"
        for line in (
            *_head(baseline, options, choices),
            *_with_comments(_document(baseline, choices, fields, containers), baseline, fields),
        )
    )
    reasons = tuple(each.reason(f"{place}.securityContext") for each in fields)
    return artifact_of(subject, "securitycontext", "yaml", text.encode(), reasons=reasons)


def _document(
    baseline: Baseline, choices: Choices, fields: Sequence[Field], containers: str
) -> dict[str, Any]:
    subject = baseline.subject
    version, place = OWNERS[subject.kind]
    metadata = {"name": subject.name}
    if choices.form == "strategic":
        metadata["namespace"] = str(subject.namespace)
    context = {each.name: each.value for each in sorted(fields, key=lambda each: each.name)}
    node: dict[str, Any] = {containers: [{"name": subject.container, "securityContext": context}]}
    for part in reversed(place):
        node = {part: node}
    return {"apiVersion": version, "kind": subject.kind, "metadata": metadata, **node}


def _head(baseline: Baseline, options: Options, choices: Choices) -> Iterator[str]:
    subject = baseline.subject
    kind = subject.kind.lower()
    if choices.form == "kustomize":
        how = "name it as a `path` under `patches` of the kustomization"
    elif subject.kind in ("Pod", "Job"):
        how = "merge it into the manifest: of one that runs these fields cannot be changed"
    else:
        how = f"kubectl -n {subject.namespace} patch {kind} {subject.name} --patch-file FILE"
    yield f"# {how}"
    for name, text in facts_about(baseline, options).items():
        yield f"# {name}: {printable(text)}"


def _with_comments(
    document: Mapping[str, Any], baseline: Baseline, fields: Sequence[Field]
) -> Iterator[str]:
    """Yield the lines of *document*, before each field what it rests on."""
    comments = {f"{each.name}:": each.evidence for each in fields}
    for line in dump_yaml(document).splitlines():
        text = line.lstrip(" ")
        space = line[: len(line) - len(text)]
        if text in ("containers:", "initContainers:"):
            yield from (f"{space}# {about}" for about in _host_namespaces(baseline))
        if (about := comments.get(text.split(" ")[0])) is not None:
            yield f"{space}# {printable(about)}"
        yield line


def _host_namespaces(baseline: Baseline) -> Iterator[str]:
    """Yield what to say of the pod's fields, which are not this container's alone."""
    seen = baseline.observation
    if not seen.host_namespaces and seen.bounding is None:
        return  # nobody knows
    for namespace, name in _HOST.items():
        if namespace in seen.host_namespaces:
            yield f"{name}: it was in the host's {namespace} namespace"
        else:
            yield f"{name}: not used, no instance was in the host's {namespace} namespace"
