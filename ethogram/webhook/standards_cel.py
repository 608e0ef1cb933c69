"""The Pod Security Standards as CEL: what the webhook judges, for an API server by itself.

Kept to what Kubernetes 1.30 knows, which has ValidatingAdmissionPolicy. Tests give the expressions
and the functions of `ethogram.posture` the same pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ethogram.errors import UsageError
from ethogram.posture.standards import CHECKS, LEVELS, Level, Version
from ethogram.posture.standards_baseline import BASELINE_CAPABILITIES, safe_sysctls
from exporters.admission_cel import WAS, cel_list, cel_string

__all__ = ["VARIABLES", "expressions"]

_OLDEST: Version = (1, 25)  # since when pods for Windows are left alone by three checks
_LISTS = ("containers", "initContainers", "ephemeralContainers")


def _all_of(spec: str) -> str:
    return " + ".join(f"dyn({spec}.?{name}.orValue([]))" for name in _LISTS)


# Each uses those before it. What an update leaves as it was is `known`, and not judged again.
VARIABLES: tuple[tuple[str, str], ...] = (
    ("was", WAS),
    ("before", "dyn(variables.was.?spec.orValue({}))"),
    ("isSame", "object.spec.?securityContext == variables.before.?securityContext"),
    ("known", f"variables.isSame ? {_all_of('variables.before')} : dyn([])"),
    ("fresh", f"({_all_of('object.spec')}).filter(c, !(c in variables.known))"),
    ("volumes", "dyn(object.spec.?volumes.orValue([])).filter(v,"
     " !(v in variables.before.?volumes.orValue([])))"),
)  # fmt: skip

_POD = "object.spec.?securityContext"
_OWN = "c.?securityContext"
_WINDOWS = "object.spec.?os.?name.orValue('') == 'windows'"
_OWN_USERS = "!object.spec.?hostUsers.orValue(true)"
_CONFINED = "['RuntimeDefault', 'Localhost']"
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
    "projected", "secret",
)  # fmt: skip


def _fresh(claim: str) -> str:
    return f"variables.fresh.all(c, {claim})"


def _both(claim: str) -> str:
    """Return *claim*, with `{}` for a securityContext, about the pod's and each container's."""
    return f"(variables.isSame || {claim.format(_POD)}) && {_fresh(claim.format(_OWN))}"


def _confined(profile: str) -> str:
    return f"{profile}.?type.orValue('RuntimeDefault') in {_CONFINED}"


def _hosts() -> str:
    handlers = ["livenessProbe", "readinessProbe", "startupProbe",
                "lifecycle.?postStart", "lifecycle.?preStop"]  # fmt: skip
    ways = [f"c.?{one}.?{way}.?host.orValue('') == ''"
            for one in handlers for way in ("httpGet", "tcpSocket")]  # fmt: skip
    return _fresh(" && ".join(ways))


def _app_armor() -> str:
    value = "object.metadata.annotations[k]"
    annotations = (
        f"object.metadata.?annotations.orValue({{}}).all(k, !k.startsWith({cel_string(_APP_ARMOR)})"
        f" || {value} in ['', 'runtime/default'] || {value}.startsWith('localhost/')"
        f" || variables.was.?metadata.?annotations[?k].orValue('') == {value})"
    )
    return f"{_both(_confined('{0}.?appArmorProfile'))} && {annotations}"


def _se_linux(version: Version) -> str:
    types = ["", "container_t", "container_init_t", "container_kvm_t"]
    types += ["container_engine_t"] if version >= (1, 31) else []
    options = "{0}.?seLinuxOptions"
    return _both(
        f"({options}.?type.orValue('') in {cel_list(types)} && {options}.?user.orValue('') == ''"
        f" && {options}.?role.orValue('') == '')"
    )


def _added(allowed: list[str]) -> str:
    added = f"{_OWN}.?capabilities.?add.orValue([])"
    return f"{added}.all(k, k in {cel_list(allowed)})"


def _namespaces() -> str:
    return " && ".join(
        f"(!object.spec.?{name}.orValue(false) || variables.before.?{name}.orValue(false))"
        for name in ("hostNetwork", "hostPID", "hostIPC")
    )


def _expression(check: str, version: Version) -> str:
    proc_mount = _fresh(f"{_OWN}.?procMount.orValue('Default') == 'Default'")
    root = version >= (1, 35)
    seccomp = f"[{_OWN}.?seccompProfile.or({_POD}.?seccompProfile)].all(p, p.?type.orValue('') in "
    made: Mapping[str, str] = {
        "windowsHostProcess": _both("!{0}.?windowsOptions.?hostProcess.orValue(false)"),
        "hostNamespaces": _namespaces(),
        "privileged": _fresh(f"!{_OWN}.?privileged.orValue(false)"),
        "capabilities_baseline": _fresh(_added(sorted(BASELINE_CAPABILITIES))),
        "hostPathVolumes": "variables.volumes.all(v, !has(v.hostPath))",
        "hostPorts": _fresh("c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)"),
        "hostProbesAndHostLifecycle": _hosts(),
        "appArmorProfile": _app_armor(),
        "seLinuxOptions": _se_linux(version),
        "procMount": f"{_OWN_USERS} || {proc_mount}" if root else proc_mount,
        "procMount_restricted": proc_mount,
        "seccompProfile_baseline": _both(_confined("{0}.?seccompProfile")),
        "sysctls": f"variables.isSame || {_POD}.?sysctls.orValue([]).all(s, s.name in"
        f" {cel_list(safe_sysctls(version))})",
        "restrictedVolumes": "variables.volumes.all(v, "
        + " || ".join(f"has(v.{name})" for name in _VOLUMES) + ")",
        "allowPrivilegeEscalation": f"{_WINDOWS} || "
        + _fresh(f"!{_OWN}.?allowPrivilegeEscalation.orValue(true)"),
        "runAsNonRoot": f"(variables.isSame || {_POD}.?runAsNonRoot.orValue(true)) && "
        + _fresh(f"{_OWN}.?runAsNonRoot.or({_POD}.?runAsNonRoot).orValue(false)"),
        "runAsUser": _both("{0}.?runAsUser.orValue(1) != 0"),
        "seccompProfile_restricted": f"{_WINDOWS} || ((variables.isSame || "
        f"{_confined(_POD + '.?seccompProfile')}) && {_fresh(seccomp + _CONFINED + ')')})",
        "capabilities_restricted": f"{_WINDOWS} || "
        + _fresh(f"{_OWN}.?capabilities.?drop.orValue([]).exists(k, k == 'ALL') && "
                 + _added(["NET_BIND_SERVICE"])),
    }  # fmt: skip
    if root and check in ("runAsNonRoot", "runAsUser"):
        return f"{_OWN_USERS} || ({made[check]})"
    return made[check]


def expressions(level: Level, version: Version) -> Iterator[tuple[str, str]]:
    """Yield the name of each check of *level* in *version*, and its expression.

    Raises `UsageError` for a version before those with ValidatingAdmissionPolicy.
    """
    if version < _OLDEST:
        raise UsageError(
            f"version {version[0]}.{version[1]} of the standards is not written as CEL",
            hint="name 1.25 or a newer one: policies are known to API servers since 1.30",
        )
    asked = LEVELS[1 : LEVELS.index(level) + 1]
    checks = [one for one in CHECKS.values() if one.level in asked and one.at(version)]
    replaced = {one.replaces for one in checks}
    for one in checks:
        if one.id not in replaced:
            yield one.id, _expression(one.id, version)
