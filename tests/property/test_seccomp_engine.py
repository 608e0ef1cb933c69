"""The reader of profiles answers as the filter does that the real libseccomp makes of them."""

import ctypes.util
import platform

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from ethogram.contracts.policy_seccomp import read_profile
from ethogram.contracts.syscall_names import number_of
from tests.libseccomp import ContradictionError, Filter

pytestmark = [
    pytest.mark.property,
    pytest.mark.skipif(
        not ctypes.util.find_library("seccomp") or platform.machine() != "x86_64",
        reason="libseccomp of an x86_64 machine is asked",
    ),
]

NAMES = ("read", "socket", "clone", "personality", "ioctl")
ACTIONS = (
    {"action": "SCMP_ACT_ALLOW"},
    {"action": "SCMP_ACT_LOG"},
    {"action": "SCMP_ACT_ERRNO"},
    {"action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    {"action": "SCMP_ACT_TRAP"},
    {"action": "SCMP_ACT_KILL_PROCESS"},
)
DEFAULTS = (
    {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38},
    {"defaultAction": "SCMP_ACT_ERRNO"},
    {"defaultAction": "SCMP_ACT_LOG"},
    {"defaultAction": "SCMP_ACT_KILL_PROCESS"},
)
# The edges of 32 bits, and values that differ in one bit of either half.
VALUES = st.sampled_from(
    [0, 1, 2, 16, 0x5401, 0x7E020000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 2, 1 << 63, (1 << 64) - 1]
)
COMPARISONS = st.builds(
    lambda index, op, value, two: {
        "index": index,
        "op": f"SCMP_CMP_{op}",
        "value": value,
        "valueTwo": two,
    },
    st.integers(0, 2),
    st.sampled_from(["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]),
    VALUES,
    VALUES,
)


def entries(actions):
    return st.lists(
        st.builds(
            lambda names, action, args: {"names": names, **action, "args": args},
            st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True),
            st.sampled_from(actions),
            st.lists(COMPARISONS, max_size=2),
        ),
        max_size=4,
    )


PROFILES = st.builds(
    lambda default, archs, syscalls: {**default, "architectures": archs, "syscalls": syscalls},
    st.sampled_from(DEFAULTS),
    st.sampled_from([["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]]),
    entries(ACTIONS),
)


@settings(max_examples=300)
@given(
    profile=PROFILES,
    arch=st.sampled_from(["x86_64", "i386"]),
    name=st.sampled_from([*NAMES, "ptrace"]),
    arguments=st.tuples(VALUES, VALUES, VALUES),
)
def test_a_profile_is_read_as_libseccomp_compiles_it(profile, arch, name, arguments):
    # The kernel shows a filter the 32 bits that a 32-bit call has.
    words = tuple(word & 0xFFFFFFFF for word in arguments) if arch == "i386" else arguments
    told = dict(enumerate(words)) | {3: 0, 4: 0, 5: 0}
    ours = read_profile(profile).verdict(arch, name, told)
    assume(ours.is_certain)
    try:
        compiled = Filter(profile)
    except ContradictionError:
        reject()
    assert compiled.answer(arch, number_of(arch, name), words) == (ours.action, ours.errno)
