"""Baselines of workloads that mean harm, or whose names are at the edge of what there can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ethogram.contracts.baseline import (
    DIMENSIONS,
    VALUE_MODELS,
    Baseline,
    Dimension,
    Rule,
    Rules,
    rule_id,
)
from ethogram.contracts.escape import escape
from tests.baselines import make_baseline, syscall_rule
from tests.peers import API_SERVER, DATABASE, DNS, LOADGEN, NODE, REDIS, listen_rule, peer_rule

__all__ = ["HOSTILE", "TEXTS", "WORDS", "make_mixed_baseline", "many_baselines", "rule_of"]

# What readers of YAML 1.1 and of 1.2, or of both, take for something else than text.
WORDS = (
    "no", "on", "y", "N", "yes", "Off", "true", "null", "Null", "1e3", "0x1f", "0o17", "017", "1.0",
    "12e03", "0.0", "685230.15", "190-20-30", "0b1", "2026-01-01", "nan", "inf",
)  # fmt: skip
# What stands in paths, names of calls, and wherever else a workload's own text gets to.
TEXTS = (
    "no", "~", "1e3", "=", "<<", "- a", "? a", "a: b", "a #b", "#", "&a", "*a", "!a", "|", ">",
    "%a", "@a", "`a`", "{a}", "[a]", "'a'", '"a"', 'a"; b', "a,b", "a\nb: c", "a\r\nb", "\t",
    " a ", "\\", "\\n", "$(a)", "${a}", "%n%s", "a\0b", "\x1b[31m", "\x85", "\xa0", "\u2028",
    "\ufeff", "\u202etxt", "\u200b", "---", "...", "a\n---\nb", "é", "e\u0301", "🦊", "12:30:45",
    "1_000", ".inf", ".", "..", "a" * 4000,
)  # fmt: skip
_BYTES = (b"\xff\xfe", b"a\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80")
_EVIDENCE = syscall_rule("read").evidence
_LONG = ("long-name-" * 26)[:253].rstrip("-").ljust(253, "x")
_LABEL = "l" * 63


def rule_of(dimension: Dimension, **fields: Any) -> Rule[Any]:
    """Return the rule of *dimension* for the value that *fields* are."""
    model = VALUE_MODELS[dimension]
    value: Any = model.model_validate(fields)
    return Rule[model](id=rule_id(dimension, value), value=value, evidence=_EVIDENCE)  # type: ignore[valid-type]


def make_mixed_baseline(
    *rules: tuple[Dimension, Rule[Any]],
    subject: dict[str, Any] | None = None,
    observation: dict[str, Any] | None = None,
) -> Baseline:
    """Return a baseline that reads, and has *rules* of any dimension."""
    who = {"selector": {"app": "checkout"}} | (subject or {})
    made = make_baseline("read", subject=who)
    by_dimension: dict[str, dict[str, Rule[Any]]] = {name: {} for name in DIMENSIONS}
    for dimension, rule in (*(("syscalls", one) for one in made.rules.syscalls), *rules):
        by_dimension[dimension][rule.id] = rule
    found: dict[str, Any] = {name: tuple(each.values()) for name, each in by_dimension.items()}
    watched = made.observation.model_copy(update=observation or {})
    return made.model_copy(update={"rules": Rules(**found), "observation": watched})


def _words() -> Iterator[tuple[Dimension, Rule[Any]]]:
    for word in WORDS:
        who = {"name": word.lower(), "selector": {word: word, "app": word}}
        yield "peers", peer_rule("out", "tcp", port=80, identity=REDIS | who)
        space = {"namespace": word.lower().replace(".", "-")}
        yield "peers", peer_rule("in", "tcp", port=80, identity=LOADGEN | who | space)
        yield "files", rule_of("files", path=word, access="r")
        yield "execs", rule_of("execs", path=word)
        yield "dns", rule_of("dns", name=word.lower())
        yield "peers", peer_rule("out", "tcp", "203.0.113.9", 443, name=word.lower())


def _texts(texts: Iterable[str]) -> Iterator[tuple[Dimension, Rule[Any]]]:
    for number, text in enumerate(texts):
        address = f"203.0.113.{number}"
        yield "files", rule_of("files", path=text, access="rw")
        yield "execs", rule_of("execs", path=text, upper=True)
        yield "dns", rule_of("dns", name=text)
        yield "operations", rule_of("operations", operation="mount", target=text)
        yield "operations", rule_of("operations", operation=text)
        yield "listens", rule_of("listens", protocol="unix", address=text)
        yield "peers", peer_rule("out", "tcp", address, 443, name=text)
        yield "peers", peer_rule("out", "tcp", text, 443)
        yield "peers", peer_rule("out", text, address, 443)
        for identity in (REDIS, LOADGEN, NODE, DNS):
            told = {"name": text, "selector": {"app": text, text: "a"}, "targets": (text,)}
            yield "peers", peer_rule("in", "tcp", port=80, identity=identity | told)
            yield "peers", peer_rule("out", "tcp", port=80, identity=identity | {"namespace": text})


def _long() -> Iterator[tuple[Dimension, Rule[Any]]]:
    name = ".".join(["n" * 63] * 3 + ["n" * 61])  # 253 characters, as DNS has them
    key = f"{name}/{_LABEL}"
    for direction in ("in", "out"):
        who = {"name": _LONG, "namespace": _LABEL, "selector": {key: _LABEL}}
        yield "peers", peer_rule(direction, "tcp", port=80, identity=LOADGEN | who)
    yield "peers", peer_rule("out", "tcp", "203.0.113.9", 443, name=name)
    yield "peers", peer_rule("out", "tcp", port=80, identity=REDIS | {"targets": ("p" * 15,)})
    yield "dns", rule_of("dns", name=name)
    yield "files", rule_of("files", path="/" + "/".join(["f" * 255] * 15), access="r")
    yield "execs", rule_of("execs", path="/" + "/".join(["e" * 255] * 15))


def _addresses() -> Iterator[tuple[Dimension, Rule[Any]]]:
    addresses = (
        "10.96.0.1", "10.96.0.10", "10.77.0.1", "169.254.1.1", "169.254.20.10",
        "169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:203.0.113.9",
        "::ffff:10.0.0.1", "0.0.0.0", "::", "127.0.0.1", "255.255.255.255", "224.0.0.1",
        "ff02::1", "240.0.0.1", "192.0.2.1", "64:ff9b::1", "2002::1", "203.0.113.9/32",
        "0x7f.1", "1", "203.0.113.09",
    )  # fmt: skip
    for address in addresses:
        for direction, protocol, port in (
            ("in", "tcp", 80), ("out", "tcp", 80), ("out", "udp", 53), ("out", "icmp", None),
        ):  # fmt: skip
            yield "peers", peer_rule(direction, protocol, address, port)
            for identity in (NODE, API_SERVER, DATABASE):
                who = identity | {"addresses": (address,)}
                yield "peers", peer_rule(direction, protocol, address, port, identity=who)
        yield "listens", listen_rule("tcp", address, 8080)
    for port in (0, 1, 65535, *range(30000, 30064)):
        yield "peers", peer_rule("out", "tcp", "10.77.0.1", port, identity=NODE)


def _calls() -> Iterator[tuple[Dimension, Rule[Any]]]:
    """Yield calls that a container runtime's libseccomp may not know, or nobody does."""
    for name in ("cachestat", "fchmodat2", "map_shadow_stack", "futex_wake", "statmount", "mseal"):
        yield "syscalls", syscall_rule(name)
    for arch in ("x86_64", "i386", "x32", "aarch64", "arm"):
        yield "syscalls", rule_of("syscalls", arch=arch, nr=2**31 - 1)
    yield "capabilities", rule_of("capabilities", name="CAP_MADE_UP")


def _misnamed_calls() -> Iterator[tuple[Dimension, Rule[Any]]]:
    """Yield calls whose names and numbers do not belong together, as a hand may write them."""
    names = ("syscall_1f4", "made_up", "SCMP_ACT_ALLOW", "read ", "openat", *TEXTS)
    for number, name in enumerate(names):
        yield "syscalls", rule_of("syscalls", arch="x86_64", name=name, nr=700 + number)
    for arch in ("i386", "x32", "aarch64", "arm"):
        yield "syscalls", rule_of("syscalls", arch=arch, name="made_up", nr=2**31)


HOSTILE = {
    "words": make_mixed_baseline(
        *_words(),
        subject={"namespace": "no", "name": "on", "container": "y", "selector": {"on": "1e3"}},
    ),
    "texts": make_mixed_baseline(*_texts(TEXTS)),
    "escaped": make_mixed_baseline(
        *_texts([*(escape(text) for text in TEXTS), *map(escape, _BYTES)])
    ),
    "long": make_mixed_baseline(
        *_long(),
        subject={
            "cluster": _LONG, "namespace": _LABEL, "name": _LONG, "container": _LABEL,
            "image": _LONG, "selector": {_LABEL: _LABEL},
        },
    ),
    "addresses": make_mixed_baseline(*_addresses()),
    "calls": make_mixed_baseline(*_calls()),
    "misnamed calls": make_mixed_baseline(*_misnamed_calls()),
    **{
        f"named {text[:8]!r}": make_mixed_baseline(
            subject={"name": text, "container": text, "cluster": text, "image": text,
                     "image_digest": text},
            observation={"losses": {text: 23}, "refused": (text,), "bounding": (text,)},
        )
        for text in ('a"\n- b', "\u202etxt", "é\\x0a", "../../x", "~")
    },
}  # fmt: skip


def many_baselines(count: int) -> Iterator[tuple[str, Baseline]]:
    """Yield baselines with *count* rules of one dimension each."""
    addresses = [f"203.{at >> 16}.{at >> 8 & 255}.{at & 255}" for at in range(count)]
    yield (
        "addresses",
        make_mixed_baseline(
            *(("peers", peer_rule("out", "tcp", address, 443)) for address in addresses)
        ),
    )
    pods = (
        LOADGEN | {"name": f"a{at}", "namespace": f"ns-{at}", "selector": {"app": f"app-{at}"}}
        for at in range(count)
    )
    yield (
        "pods",
        make_mixed_baseline(
            *(("peers", peer_rule("in", "tcp", port=80, identity=who)) for who in pods)
        ),
    )
    ports = range(1, 2 * min(count, 32000), 2)
    yield (
        "ports",
        make_mixed_baseline(
            *(("peers", peer_rule("out", "tcp", "203.0.113.9", port)) for port in ports)
        ),
    )
    yield (
        "files and executables",
        make_mixed_baseline(
            *(("files", rule_of("files", path=f"/var/{at}", access="rw")) for at in range(count)),
            *(("execs", rule_of("execs", path=f"/usr/bin/{at}")) for at in range(count)),
        ),
    )
