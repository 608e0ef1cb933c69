"""What a finding says that the baseline has instead."""

import pytest

from detector.words import nearest
from tests.baselines import exec_rule, make_baseline, syscall_rule

pytestmark = pytest.mark.unit


def test_what_is_like_it_is_named_the_likest_first() -> None:
    known = make_baseline(execs=[exec_rule("/usr/bin/python3"), exec_rule("/usr/sbin/nginx")])
    assert nearest(known, "execs", exec_rule("/usr/bin/python").value)[0] == "/usr/bin/python3"


def test_a_name_like_that_of_a_system_call_says_nothing() -> None:
    seen = syscall_rule("fchmodat").value
    assert nearest(make_baseline("read", "fchmod", "chmod"), "syscalls", seen) == ()


def test_what_the_runtime_alone_did_is_not_what_the_workload_does() -> None:
    by_runtime = exec_rule("/usr/bin/true", phases=["runtime"])
    seen = by_runtime.value
    assert "/usr/bin/true" not in nearest(make_baseline(execs=[by_runtime]), "execs", seen)
    by_both = exec_rule("/usr/bin/true", phases=["runtime", "exec"])
    assert "/usr/bin/true" in nearest(make_baseline(execs=[by_both]), "execs", seen)
