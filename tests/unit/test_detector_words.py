"""What a finding says that the baseline has instead."""

import pytest

from detector.words import nearest
from tests.baselines import make_baseline, syscall_rule

pytestmark = pytest.mark.unit


def test_what_is_like_it_is_named_the_likest_first() -> None:
    seen = syscall_rule("fchmodat").value
    known = make_baseline("read", "fchmod", "chmod")
    assert nearest(known, "syscalls", seen)[:2] == ("fchmod (x86_64)", "chmod (x86_64)")


def test_what_the_runtime_alone_did_is_not_what_the_workload_does() -> None:
    by_runtime = syscall_rule("futex", phases=["runtime"])
    seen = by_runtime.value
    assert "futex (x86_64)" not in nearest(make_baseline("read", by_runtime), "syscalls", seen)
    by_both = syscall_rule("futex", phases=["runtime", "exec"])
    assert "futex (x86_64)" in nearest(make_baseline("read", by_both), "syscalls", seen)
