"""What every registered exporter owes, ours and those of installed packages."""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ethogram.contracts import policy_cilium as cilium_policy
from ethogram.contracts.artifacts import WHYS
from ethogram.contracts.baseline import Baseline, Rules, load_baseline
from ethogram.contracts.exports import plan
from ethogram.contracts.keys import parse_workload_key
from ethogram.contracts.policy_network import Endpoint
from ethogram.contracts.policy_network import allows as network_allows
from ethogram.contracts.policy_seccomp import ARCHITECTURES, allows
from ethogram.contracts.policy_systemd import parse_drop_in
from ethogram.contracts.provenance import ProvenanceFile
from ethogram.contracts.syscall_names import names_of
from ethogram.errors import ExportError
from exporters.protocol import Artifact, Exporter, Finding, Options
from exporters.provenance import provenance_artifact, provenance_of
from exporters.registry import exporters, parse_options
from tests.admission import capability_rule, make_admission_baseline, make_pod
from tests.baselines import as_overlaid, make_baseline, syscall_rule
from tests.ciliumpolicies import enforced, meetings, subject_of
from tests.peers import EVERY_PEER, connections, make_network_baseline
from tests.policy_engines import judge
from tests.systemd import allows as unit_allows
from tests.systemd import make_unit

pytestmark = pytest.mark.contract

GOLDEN = Path(__file__).parents[1] / "golden"
BASELINES = {
    "one call": make_baseline("read"),
    "host command": make_baseline(
        "read", subject={"namespace": None, "kind": "Command", "name": "curl", "container": None}
    ),
    "two machines": make_baseline("open", syscall_rule("openat", arch="aarch64")),
    "32 bits": make_baseline("read", syscall_rule("mmap2", arch="i386")),
    "unnamed": make_baseline("read", syscall_rule(None, nr=999)),
    "hostile": make_baseline("read", subject={"name": "../`$(x)`\n\x1b[31m", "container": "{}"}),
    "peers": make_network_baseline(*EVERY_PEER),
    "capabilities": make_admission_baseline(
        "CAP_CHOWN", "CAP_NET_ADMIN", capability_rule("CAP_SYS_ADMIN", "runtime")
    ),
    "unit": make_unit(
        "CAP_NET_ADMIN",
        calls=("read", "socket", syscall_rule("mmap2", arch="i386"), syscall_rule(None, nr=999)),
        files={"/var/lib/a b/x%": "rwcn", "/var/log/*/y": "wa", "/home/u": "r", "/dev/kvm": "rw"},
        listens=[
            {"protocol": "tcp", "address": "::", "port": 80},
            {"protocol": "netlink", "address": "route"},
        ],
        operations=["unshare", "set_hostname"],
    ),
    "shop": load_baseline(GOLDEN / "seccomp" / "checkout.baseline.yaml"),
    "overlaid": as_overlaid(load_baseline(GOLDEN / "seccomp" / "checkout.baseline.yaml")),
}
EVERY = [
    pytest.param(exporter, baseline, enforce, id=f"{name}-{title}-{enforce}")
    for name, exporter in exporters().items()
    for title, baseline in BASELINES.items()
    for enforce in (False, True)
]
pair = pytest.mark.parametrize(("exporter", "baseline", "enforce"), EVERY)

# Target -> whether one of its documents allows a rule. A new exporter adds its reader here.
Reader = Callable[[list[tuple[str, Any]], Any], bool]


def seccomp_allows(documents: list[tuple[str, Any]], rule: Any) -> bool:
    value = rule.value
    return any(
        allows(document, value.arch, value.name)
        for target, document in documents
        if ARCHITECTURES[value.arch] in document["architectures"]
    )


def networkpolicy_allows(documents: list[tuple[str, Any]], rule: Any) -> bool:
    policies = [policy for _, found in documents for policy in found]
    if not policies:
        return True  # what no policy picks may do everything
    selector = policies[0]["spec"]["podSelector"]["matchLabels"]
    pod = Endpoint(namespace=policies[0]["metadata"]["namespace"], labels=selector)
    return all(
        network_allows(
            policies, pod, it.peer, direction=it.direction, protocol=it.protocol, port=it.port
        )
        for it in connections(rule)
    )


def cilium_allows(documents: list[tuple[str, Any]], rule: Any) -> bool:
    policies = [policy for _, found in documents for policy in found]
    if not policies:
        return True
    # What is not enforced denies nothing: ask what it would let through if it were.
    policies = [enforced(policy) for policy in policies]
    pod = subject_of(policies[0])
    return all(
        cilium_policy.allows(
            policies, pod, it.peer, direction=it.direction, protocol=it.protocol, port=it.port
        )
        for it in meetings(rule)
    )


def admission_allows(documents: list[tuple[str, Any]], rule: Any) -> bool:
    if not documents:
        return True  # what no policy matches may ask for everything
    ((_, policy),) = documents
    name = policy[-1 if len(policy) < 4 else 1]["metadata"]["name"]
    capabilities = {"add": [rule.value.name]}
    # Nothing but the capabilities is wrong with it: an engine may stop at the first rule it breaks.
    adds = {"capabilities": capabilities, "allowPrivilegeEscalation": False}
    own = {"name": name.rpartition(".")[2], "securityContext": adds}
    answer = judge(policy, make_pod(None, own))
    assert answer.is_matched
    return not any("capability" in message for message in answer.violations)


def securitycontext_allows(documents: list[tuple[str, Any]], rule: Any) -> bool:
    if not documents:
        return True  # what no patch changes keeps what it has
    ((_, (patch,)),) = documents
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    return (
        rule.value.name.removeprefix("CAP_") in container["securityContext"]["capabilities"]["add"]
    )


def systemd_allows(documents: list[tuple[str, Any]], rule: Any) -> bool:
    return all(unit_allows(policy, rule) for _, policy in documents)


READERS: Mapping[str, Reader] = {
    "admission": admission_allows,
    "cilium": cilium_allows,
    "gatekeeper": admission_allows,
    "kyverno": admission_allows,
    "networkpolicy": networkpolicy_allows,
    "seccomp": seccomp_allows,
    "securitycontext": securitycontext_allows,
    "systemd": systemd_allows,
}


def run(exporter: Exporter, baseline: Baseline, enforce: bool) -> list[Artifact | Finding]:
    return list(exporter.export(baseline, parse_options(exporter, [], enforce=enforce)))


def artifacts(items: list[Artifact | Finding]) -> list[Artifact]:
    return [item for item in items if isinstance(item, Artifact)]


def documents(items: list[Artifact | Finding]) -> list[tuple[str, Any]]:
    read = {
        "conf": lambda text: parse_drop_in(text.decode()),
        "json": json.loads,
        "yaml": lambda text: list(yaml.safe_load_all(text)),
    }
    return [
        (item.target, read[item.path.rpartition(".")[2]](item.content)) for item in artifacts(items)
    ]


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the clock, chance, files, processes and sockets fail."""

    def refuse(*_: object) -> None:
        raise AssertionError("an exporter reads nothing but its arguments")

    for arch in ARCHITECTURES:
        names_of(arch)  # the tables of calls are modules, imported when they are first asked for
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"):
        monkeypatch.setattr(time, name, refuse)
    monkeypatch.setattr(random, "random", refuse)
    _Seal.is_on = True
    yield
    _Seal.is_on = False


class _Seal:
    is_on = False
    refused: tuple[str, ...] = ("open", "os.listdir", "subprocess.Popen", "socket.connect")


def _guard(event: str, _: object) -> None:
    if _Seal.is_on and event in _Seal.refused:
        _Seal.is_on = False
        raise AssertionError(f"an exporter did `{event}`")


sys.addaudithook(_guard)


def test_every_exporter_has_a_reader() -> None:
    assert set(exporters()) <= set(READERS)


@pytest.mark.parametrize("exporter", exporters().values(), ids=lambda exporter: exporter.name)
def test_it_says_what_it_is(exporter: Exporter) -> None:
    assert exporter.name.isidentifier()
    assert exporter.summary
    assert "\n" not in exporter.summary
    assert exporter.dimensions <= set(Rules.model_fields)
    assert all(exporter.settings.values())


@pair
def test_it_makes_no_policy_of_what_nobody_looked_at(exporter, baseline, enforce) -> None:
    if not artifacts(run(exporter, baseline, enforce)):
        return
    for dimension in exporter.dimensions:
        seen = baseline.observation.model_copy(update={"not_observed": (dimension,)})
        blind = baseline.model_copy(update={"observation": seen})
        with pytest.raises(ExportError, match="recorded without a look at") as error:
            run(exporter, blind, enforce)
        assert "--tier full" in str(error.value.hint)


@pair
def test_it_reads_nothing_but_its_arguments(exporter, baseline, enforce, sealed) -> None:
    options = Options(enforce=enforce)
    assert list(exporter.export(baseline, options))


@pair
def test_exporting_twice_gives_the_same_bytes(exporter, baseline, enforce) -> None:
    assert run(exporter, baseline, enforce) == run(exporter, baseline, enforce)


@pair
def test_the_order_of_rules_does_not_show(exporter, baseline, enforce) -> None:
    backwards = {
        dimension: tuple(reversed(getattr(baseline.rules, dimension)))
        for dimension in Rules.model_fields
    }
    turned = baseline.model_copy(update={"rules": Rules(**backwards)})
    assert artifacts(run(exporter, turned, enforce)) == artifacts(run(exporter, baseline, enforce))


@pair
def test_every_artifact_parses_and_ends_in_a_line_end(exporter, baseline, enforce) -> None:
    items = run(exporter, baseline, enforce)
    assert documents(items) or any(isinstance(item, Finding) for item in items)
    for artifact in artifacts(items):
        text = artifact.content.decode()
        assert text.endswith("\n")
        assert text.replace("\n", "").isprintable()


@pair
def test_every_artifact_has_reasons_and_each_names_rules_of_the_baseline(
    exporter, baseline, enforce
) -> None:
    known = {rule.id for _, rule in baseline.rules.all()}
    for artifact in artifacts(run(exporter, baseline, enforce)):
        assert artifact.reasons
        assert len({one.place for one in artifact.reasons}) == len(artifact.reasons)
        for reason in (*artifact.reasons, *artifact.left_out):
            assert reason.place
            assert reason.why in WHYS
            assert set(reason.rules) <= known
            assert list(reason.rules) == sorted(set(reason.rules))
            assert reason.rules or reason.source


@pair
def test_what_a_policy_was_made_from_stands_beside_it(exporter, baseline, enforce) -> None:
    made = provenance_of(baseline, "0" * 64)
    for artifact in artifacts(run(exporter, baseline, enforce)):
        beside = provenance_artifact(artifact, baseline, made)
        assert beside is not None
        told = ProvenanceFile.model_validate_json(beside.content)
        assert told.reasons == artifact.reasons
        assert told.dump() == beside.content
        assert beside.content.isascii()


@pair
def test_what_it_was_made_from_does_not_show_in_where_it_is_installed(
    exporter, baseline, enforce
) -> None:
    options = parse_options(exporter, [], enforce=enforce)
    told = replace(options, provenance=provenance_of(baseline, "1" * 64))
    items = [artifacts(list(exporter.export(baseline, each))) for each in (options, told)]
    for plain, with_provenance in zip(*items, strict=True):
        assert plain.installs_as == with_provenance.installs_as
        assert plain.reasons == with_provenance.reasons


@pair
def test_every_artifact_has_its_own_file_inside(exporter, baseline, enforce, tmp_path) -> None:
    found = artifacts(run(exporter, baseline, enforce))
    planned = plan(tmp_path, [(artifact, "0" * 64) for artifact in found])
    assert len(planned.of("new")) == len(found)
    for artifact in found:
        unit = artifact.path.rpartition("/")[2]
        assert f".{artifact.target}." in unit
        assert parse_workload_key(artifact.workload_key).name == baseline.subject.name


@pair
def test_every_rule_is_allowed_or_named_in_a_finding(exporter, baseline, enforce) -> None:
    items = run(exporter, baseline, enforce)
    findings = [item for item in items if isinstance(item, Finding)]
    for dimension, rule in baseline.rules.all():
        if dimension not in exporter.dimensions:
            continue
        name = getattr(rule.value, "name", None)
        is_named = any(
            f.subject == rule.id or (name and name in f.message.replace(",", "").split())
            for f in findings
        )
        assert is_named or READERS[exporter.name](documents(items), rule), rule


@pair
def test_findings_are_one_line_without_a_full_stop(exporter, baseline, enforce) -> None:
    for finding in run(exporter, baseline, enforce):
        if isinstance(finding, Finding):
            for text in filter(None, (finding.message, finding.hint)):
                assert text.isprintable()
                assert not text.endswith(".")
