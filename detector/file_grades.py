"""The classes of files that the baseline does not use so: by path, and by what was done to them.

Paths are matched wherever they end that way, so that a host's file below a mount is seen as well.
They are escaped as in a baseline. The first class that fits decides.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from detector.grades import Class
from ethogram.contracts.baseline import FileValue
from ethogram.contracts.finding import Severity

__all__ = ["of_file"]

# What gets a name by being made or renamed is written; who links a secret will read it.
_WRITE, _GONE, _ANY = frozenset("wctan"), frozenset("td"), frozenset("rwxctanl")
_BIN = r"^(?:/[^/]+)?/(?:usr/(?:local/)?)?s?bin/[^/]+$"
_LIB = r"^(?:/[^/]+)?/(?:usr/(?:local/)?)?lib(?:32|64)?/.*\.so(?:\.[0-9.]+)?$"
_CREDENTIALS = (
    r"/\.aws/credentials$|/\.config/gcloud/|/\.azure/|/\.docker/config\.json$|/\.kube/config$"
    r"|/\.netrc$|/\.git-credentials$|/\.pgpass$|/\.my\.cnf$|/\.vault-token$"
)


class _Entry(NamedTuple):
    letters: frozenset[str]
    pattern: re.Pattern[str]
    grade: Class


def _entry(  # noqa: PLR0917  a table reads better without names in each line
    letters: frozenset[str], pattern: str, severity: Severity, technique: str, title: str, why: str
) -> _Entry:
    grade = Class(severity, f"{title} outside the baseline", why, tuple(technique.split()))
    return _Entry(letters, re.compile(pattern), grade)


_ENTRIES = (
    # What executes later, as somebody else.
    _entry(_WRITE, r"/etc/cron|/var/spool/cron/|/var/spool/at/", "high", "T1053.003",
           "Scheduled job written", "whatever it says is executed later, often as root"),
    _entry(_WRITE, r"/etc/systemd/|/lib/systemd/|/run/systemd/system/|/\.config/systemd/",
           "high", "T1543.002", "Service definition written",
           "whatever it says is executed when the service starts"),
    _entry(_WRITE, r"/etc/init\.d/|/etc/rc\.local$|/etc/rc[0-9S]\.d/|/etc/inittab$", "high",
           "T1037.004", "Start script written", "whatever it says is executed at the next start"),
    _entry(_WRITE, r"/\.ssh/(?:authorized_keys2?|rc|environment)$|/etc/ssh/sshd_config", "high",
           "T1098.004", "Way to log in written", "who holds the key can come back"),
    _entry(_WRITE,
           r"/\.(?:bash(?:rc|_profile|_login|_logout|_aliases)|z(?:shrc|shenv|profile|login|logout)"
           r"|kshrc|t?cshrc|profile|login|logout)$|/etc/profile$|/etc/profile\.d/"
           r"|/etc/(?:bash\.bashrc|bashrc|zshrc|zsh/)|/etc/environment$",
           "high", "T1546.004", "Start file of a shell written",
           "whatever it says is executed by the next shell"),
    _entry(_WRITE, r"/etc/ld\.so\.(?:preload|conf)", "high", "T1574.006",
           "Library search path written", "a library named there is loaded into every program"),
    _entry(_WRITE, r"/etc/sudoers", "high", "T1548.003", "Rules of sudo written",
           "it says who may become root"),
    _entry(_WRITE, r"/etc/(?:passwd|group|g?shadow)-?$", "high", "T1136.001 T1098",
           "Accounts written", "it says who exists and with which password"),
    _entry(_WRITE, r"/etc/pam\.d/|/security/pam_[^/]+\.so$", "high", "T1556.003",
           "Rules of logging in written", "it decides which password is right"),
    _entry(_WRITE, _BIN, "high", "T1554", "Program written",
           "who executes it next executes something else"),
    _entry(_WRITE, _LIB, "high", "T1554", "Library written",
           "programs that load it next do something else"),
    # The kernel, and what lies below a container.
    _entry(_WRITE, r"^/proc/sys/kernel/(?:core_pattern|modprobe)|^/proc/sys/fs/binfmt_misc/"
           r"|^/proc/sysrq-trigger$|/(?:release_agent|uevent_helper)$", "high", "T1611",
           "Program that the kernel starts set", "the kernel executes it on the host, as root"),
    _entry(_WRITE, r"^/proc/sys/|^/sys/kernel/|^/sys/module/", "high", "T1611",
           "Setting of the kernel written", "it holds for the whole machine"),
    _entry(_ANY, r"^/proc/[^/]+/root/", "high", "T1611", "File of another root opened",
           "the way through a process leads out of the container"),
    _entry(_ANY, r"^/dev/(?:mem|kmem|port|sd[a-z]|hd[a-z]|vd[a-z]|xvd|nvme|dm-|mapper/|loop)",
           "high", "T1006 T1611", "Device opened", "below file systems no permission holds"),
    # Other processes.
    _entry(_WRITE, r"^/proc/[^/]+/(?:task/[^/]+/)?mem$", "high", "T1055.009",
           "Memory of a process written", "code and data of it can be replaced"),
    _entry(_ANY, r"^/proc/[^/]+/(?:task/[^/]+/)?mem$", "medium", "T1003.007",
           "Memory of a process read", "passwords and keys lie there in the clear"),
    _entry(_ANY, r"^/proc/[^/]+/(?:task/[^/]+/)?environ$", "medium", "T1552",
           "Environment of a process read",
           "it may hold passwords and tokens"),
    # Traces and secrets.
    _entry(_GONE, r"^/var/log/|/\.[a-z]+_history$", "medium", "T1685.006 T1070.003",
           "Log emptied or taken away", "what happened before can no longer be read there"),
    _entry(_ANY, r"/etc/g?shadow-?$|/etc/master\.passwd$", "medium", "T1003.008",
           "Password hashes read", "passwords are guessed from them"),
    _entry(_ANY, r"/\.ssh/(?:id_[^/]+|identity)$|/etc/ssh/ssh_host_[^/]+_key$"
           r"|\.(?:key|p12|pfx|jks)$", "medium", "T1552.004", "Private key read",
           "who has it can be somebody else"),
    _entry(_ANY, r"/run/secrets/.*token$|/var/lib/kubelet/pki/|/etc/kubernetes/", "medium",
           "T1528", "Token of the cluster read", "who has it can act as this workload"),
    _entry(_ANY, _CREDENTIALS, "medium", "T1552.001", "File with credentials read",
           "who has them can act elsewhere"),
    _entry(frozenset("r"), r"^(?:/tmp|/var/tmp|/dev/shm|/run/shm)/.*\.so(?:\.[0-9.]+)?$", "medium",
           "T1574.006 T1574", "Library among temporary files read",
           "a program that loads it does what the library says"),
    # Whatever programs leave lying about while they work.
    _entry(_ANY, r"^/dev/(?:null|zero|full|u?random|tty|ptmx|pts/|std(?:in|out|err)$|fd/)", "info",
           "T1005", "Harmless device opened", "the baseline never opens it"),
    _entry(_WRITE, r"^(?:/tmp|/var/tmp|/dev/shm)/", "low", "T1074.001", "Temporary file written",
           "the baseline never writes it"),
    _entry(frozenset("dlp"), r"^(?:/tmp|/var/tmp|/dev/shm)/", "low", "T1070.004",
           "Temporary file changed", "the baseline never removes, links or changes it"),
    _entry(_WRITE, r"", "medium", "T1565.001", "File written", "the baseline never writes it"),
    _entry(frozenset("d"), r"", "medium", "T1070.004 T1485", "File removed",
           "the baseline never takes this name away"),
    _entry(frozenset("l"), r"", "low", "T1564", "File given another name",
           "under another name no rule about its path knows it"),
    _entry(frozenset("p"), r"", "low", "T1222.002", "Permissions or owner of a file changed",
           "the baseline never changes who may use it"),
    _entry(frozenset("x"), r"", "low", "T1059", "File opened for execution",
           "the baseline never opens it"),
    _entry(frozenset("r"), r"", "low", "T1005", "File read", "the baseline never reads it"),
)  # fmt: skip
_PATH_ONLY = Class(
    "low",
    "File looked up outside the baseline",
    "the baseline never opens it, for its path alone either",
    ("T1083",),
)


def of_file(value: FileValue) -> Class:
    """Return the class of a file, by the gravest of what it was opened for."""
    letters = set(value.access)
    return next(
        (
            entry.grade
            for entry in _ENTRIES
            if letters & entry.letters and entry.pattern.search(value.path)
        ),
        _PATH_ONLY,
    )
