"""The rules of the Pod Security Standards, with how to meet each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType

from ethogram.contracts.escape import printable
from ethogram.posture.pods import Pod, shape_problems
from ethogram.posture.standards import CHECKS, Level, Version, pod_violations
from ethogram.webhook.breaches import MOST_OF_A_RULE, SHAPE, Breach, bounded

__all__ = ["FIXES", "standard_breaches"]

FIXES: Mapping[str, str] = MappingProxyType(
    {
        "windowsHostProcess": "remove it, or run the pod in a namespace for such",
        "hostNamespaces": "remove it, or set it false",
        "privileged": "remove it, and add the capabilities that are used instead",
        "capabilities_baseline": "remove those beyond that from `add`",
        "hostPathVolumes": "use an emptyDir, a configMap or a persistentVolumeClaim instead",
        "hostPorts": "remove it, and reach the pod through a Service",
        "hostProbesAndHostLifecycle": "remove it: without it the pod itself is asked",
        "appArmorProfile": "set it RuntimeDefault, or remove it",
        "seLinuxOptions": "remove it",
        "procMount": "remove it",
        "procMount_restricted": "remove it",
        "seccompProfile_baseline": "set it RuntimeDefault, or remove it",
        "sysctls": "remove it",
        "restrictedVolumes": "use one of those kinds instead",
        "allowPrivilegeEscalation": "set it false",
        "runAsNonRoot": "set it true, for the pod or for each container",
        "runAsUser": "set a user other than 0, or remove it",
        "seccompProfile_restricted": "set type RuntimeDefault for the pod",
        "capabilities_restricted": "set `drop` to [ALL], and add no more than NET_BIND_SERVICE",
    }
)


def standard_breaches(pod: Pod, *, level: Level, version: Version) -> Iterator[Breach]:
    """Yield what an API server that enforces *level* of *version* would refuse *pod* for."""
    return bounded(_breaches(pod, level=level, version=version), pod)


def _breaches(pod: Pod, *, level: Level, version: Version) -> Iterator[Breach]:
    for problem in islice(shape_problems(pod), MOST_OF_A_RULE + 1):
        yield Breach(
            SHAPE, "shape", "the form of a pod", problem.path, problem.value, problem.required,
            "write it as the API has it", problem.container,
        )  # fmt: skip
    number = f"v{version[0]}.{version[1]}"
    most = MOST_OF_A_RULE + 1
    for found in pod_violations(pod, level=level, version=version, most=most):
        name = f"Pod Security {CHECKS[found.check].level} {number}"
        yield Breach(
            found.check, "standard", name, found.path, found.value, printable(found.required),
            FIXES[found.check], found.container,
        )  # fmt: skip
