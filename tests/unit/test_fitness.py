"""Would a container start here under this policy? Hosts are made up; real ones are in e2e."""

import json

import pytest

from ethogram.cli.run import run
from ethogram.contracts.policy_host import PolicyHost
from ethogram.contracts.syscall_names import names_of
from exporters.fitness import fitness_of, names_asked, worst
from exporters.fitness_seccomp import SeccompFitness, load_start_calls
from exporters.protocol import Artifact, Options
from exporters.replay.protocol import Policy
from exporters.runtime_base import load_runtime_bases
from exporters.seccomp import exporter
from profiler.policy_host import look
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit

SECCOMP = SeccompFitness.load()
KNOWN = frozenset().union(*map(names_of, ("x86_64", "i386", "x32")))
ALL = "kill_process kill_thread trap errno user_notif trace log allow"
BOTH = {"runc": "1.1.5+ds1", "crun": "1.8.1"}


def host(**fields):
    actions = frozenset(ALL.split())
    made = {"machine": "x86_64", "kernel": "6.1.0", "runtimes": BOTH, "libseccomp": "2.5.4"}
    made |= {"actions": actions, "actions_logged": actions, "known_calls": KNOWN}
    return PolicyHost(**(made | fields))


def exported(enforce=True):
    items = exporter().export(make_baseline("read", "mount"), Options(enforce=enforce))
    return next(json.loads(item.content) for item in items if isinstance(item, Artifact))


def judged(document, place=None, **fields):
    found = fitness_of("seccomp", Policy("p", document, None, place), host(**fields), SECCOMP)
    return found.verdict, "; ".join(found.reasons)


def without(*names):
    document = exported()
    kept = [name for name in document["syscalls"][0]["names"] if name not in names]
    return document | {"syscalls": [{"names": kept, "action": "SCMP_ACT_ALLOW"}]}


def test_what_a_runtime_needs_is_in_its_base_set():
    for needed in load_start_calls():
        [base] = [one for one in load_runtime_bases() if one.measured
                  and (one.runtime, one.version) == (needed.runtime, needed.version)]  # fmt: skip
        for each in needed.sets:
            assert each.calls <= base.calls(each.no_new_privs).keys()
            assert "execve" in each.calls


@pytest.mark.parametrize("enforce", [True, False])
def test_what_was_exported_for_every_runtime_starts(enforce):
    assert judged(exported(enforce)) == ("starts", "under crun 1.8.1; under runc 1.1.5+ds1")


def test_without_execve_nothing_starts():
    verdict, reasons = judged(without("execve"))
    assert verdict == "does not start"
    assert "it needs execve" in reasons


def test_without_capset_it_starts_with_no_new_privs_alone():
    verdict, reasons = judged(without("capset"))
    assert verdict == "starts but"
    assert "without no_new_privs crun 1.8.1 does not start it: it needs capset" in reasons
    assert "; with no_new_privs" not in reasons


def test_a_call_that_it_does_without_is_said():
    verdict, reasons = judged(without("statx"), runtimes={"crun": "1.8.1"})
    assert (verdict, "statx" in reasons) in (("starts", False), ("starts but", True))


def test_a_runtime_that_was_not_measured_leaves_it_open():
    verdict, reasons = judged(exported(), runtimes={"runc": "1.3.0"})
    assert (verdict, reasons) == (
        "cannot tell", "runc 1.3.0 was not measured: what it calls itself is not known",
    )  # fmt: skip


def test_a_host_without_a_runtime_leaves_it_open():
    assert judged(exported(), runtimes={})[0] == "cannot tell"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"syscalls": []}, "allows no call"),
        ({"architectures": ["SCMP_ARCH_ARM64"]}, "SCMP_ARCH_ARM64"),
        ({"defaultAction": "SCMP_ACT_DENY"}, "SCMP_ACT_DENY"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "as the default"),
        ({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                       {"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}]}, "listenerPath"),
        ({"syscalls": [{"names": [], "action": "SCMP_ACT_ALLOW"}]}, "names"),
    ],
)  # fmt: skip
def test_what_no_runtime_takes_does_not_start(change, words):
    verdict, reasons = judged(exported() | change)
    assert verdict == "does not start"
    assert words in reasons


def test_flags_are_refused_by_runc_before_1_2():
    document = exported() | {"flags": ["SECCOMP_FILTER_FLAG_LOG"]}
    assert judged(document, runtimes={"runc": "1.1.5"})[0] == "does not start"
    assert judged(document)[0] == "starts but"


def test_an_action_that_the_kernel_lacks_does_not_start():
    older = frozenset(ALL.split()) - {"log"}
    verdict, reasons = judged(exported(enforce=False), actions=older)
    assert (verdict, "does not know `SCMP_ACT_LOG`" in reasons) == ("does not start", True)


def test_a_kernel_that_does_not_write_is_said():
    quiet = frozenset({"kill_process"})
    verdict, reasons = judged(exported(enforce=False), actions_logged=quiet)
    assert (verdict, "writes nothing down" in reasons) == ("starts but", True)


def test_a_name_that_libseccomp_does_not_know_is_said():
    document = exported()
    document["syscalls"][0]["names"].append("mseal")
    known = frozenset(names_asked(document)) - {"mseal"}
    base = {name for one in load_runtime_bases() for name in one.calls(None)}
    verdict, reasons = judged(document, known_calls=known | base)
    assert (verdict, "does not know mseal" in reasons) == ("starts but", True)
    # Refused by its rule, and by the default without it: nothing changes.
    document["syscalls"][0]["names"].remove("mseal")
    refusal = {"names": ["mseal"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    document["syscalls"].append(refusal)
    assert "mseal" not in judged(document, known_calls=known | base)[1]


def test_a_call_that_libseccomp_leaves_out_is_not_allowed():
    document = exported()
    known = frozenset(names_asked(document)) - {"execve"}
    assert judged(document, known_calls=known)[0] == "does not start"


def test_dockers_dialect_is_not_read_by_the_kubelet():
    document = exported()
    document["syscalls"][0]["includes"] = {"caps": ["CAP_CHOWN"]}
    verdict, reasons = judged(document)
    assert (verdict, "`includes`" in reasons) == ("starts but", True)


@pytest.mark.parametrize(
    ("there", "expected"), [(None, "starts"), ({"e/p-0.json": None}, "starts but"),
                            ({"e/p-0.json": "0" * 64}, "starts"),
                            ({"e/p-0.json": "1" * 64}, "starts but")]
)  # fmt: skip
def test_a_profile_has_to_be_below_the_kubelets_directory(there, expected):
    assert judged(exported(), "e/p-0.json", installed=there)[0] == expected


@pytest.mark.parametrize(
    ("target", "plugins", "expected"),
    [
        ("networkpolicy", None, "cannot tell"),
        ("networkpolicy", ("calico", "bandwidth"), "starts"),
        ("networkpolicy", ("flannel", "portmap"), "starts but"),
        ("networkpolicy", ("of-our-own",), "cannot tell"),
        ("cilium", ("cilium-cni",), "starts"),
        ("cilium", ("calico",), "starts but"),
        ("admission", ("calico",), "cannot tell"),
        ("of-somebody", None, "cannot tell"),
    ],
)
def test_policies_of_the_network_need_somebody_who_enforces_them(target, plugins, expected):
    found = fitness_of(target, Policy("p", {}), host(network_plugins=plugins), SECCOMP)
    assert found.verdict == expected
    assert worst([found]) == expected


def test_a_host_is_read_from_its_files(tmp_path):
    for path, text in (
        ("proc/sys/kernel/seccomp/actions_avail", "log allow\n"),
        ("etc/cni/net.d/10-x.conflist", '{"plugins": [{"type": "calico"}, {"type": "portmap"}]}'),
        ("etc/cni/net.d/20-y.conf", '{"type": "flannel"}'),
        ("var/lib/kubelet/seccomp/e/p.json", "{}"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = look(["read"], ["e/p.json", "e/q.json"], root=tmp_path)
    assert found.actions == {"log", "allow"}
    assert found.actions_logged is None
    assert found.network_plugins == ("calico", "portmap")
    assert found.installed["e/p.json"].startswith("44136fa355b3678a")
    assert found.installed["e/q.json"] is None


def test_a_host_without_anything_is_no_error(tmp_path):
    (tmp_path / "etc/cni/net.d").mkdir(parents=True)
    (tmp_path / "etc/cni/net.d/x.conf").write_text("[" * 100_000)
    found = look([], [], root=tmp_path)
    assert (found.actions, found.installed, found.network_plugins) == (None, None, None)


def test_the_command_says_the_verdict_of_each_file(tmp_path, capsys):
    broken = tmp_path / "p.json"
    broken.write_text('{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}')
    assert run(["doctor", "--policies", str(broken), "--format", "json"]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["schema"] == "ethogram.doctor-policies/1"
    assert document["verdict"] == "does not start"
    assert document["policies"][0]["path"] == str(broken)
    assert "cannot be used here" in err
