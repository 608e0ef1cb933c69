"""Call numbers by machine in the kernel's sources are those of the tables that name them."""

import re
from pathlib import Path

import pytest

from ethogram.contracts.syscall_names import name_of

pytestmark = pytest.mark.unit

ARCH_H = Path(__file__).parents[2] / "bpf" / "arch.h"
NOT_THERE = 100_000  # from here on numbers stand for calls that a machine does not have


def numbers(enum: str, machine: str) -> dict[str, int]:
    """Return the calls that *enum* of bpf/arch.h numbers for *machine*."""
    source = ARCH_H.read_text(encoding="utf-8")
    part = source.split(f"#if defined(__TARGET_ARCH_{machine})" if machine == "x86" else
                        f"#elif defined(__TARGET_ARCH_{machine})")[1].split("\n#e")[0]  # fmt: skip
    body = re.search(rf"enum {enum} \{{(.*?)\}};", part, re.DOTALL)
    assert body is not None
    found, following = {}, 0
    for name, value in re.findall(r"(?:NR|COMPAT)_(\w+)(?: = (\d+))?", body[1]):
        following = int(value) if value else following
        found[name] = following
        following += 1
    return found


@pytest.mark.parametrize(
    ("machine", "enum", "arch"),
    [
        ("x86", "native_nr", "x86_64"),
        ("arm64", "native_nr", "aarch64"),
        ("x86", "compat_nr", "i386"),
        ("arm64", "compat_nr", "arm"),
    ],
)
def test_numbers_are_those_of_the_calls(machine: str, enum: str, arch: str) -> None:
    found = numbers(enum, machine)
    assert len(found) > 3
    here = {name: number for name, number in found.items() if number < NOT_THERE}
    assert {name: name_of(arch, number) for name, number in here.items()} == {
        name: name for name in here
    }


def test_both_machines_number_the_same_calls() -> None:
    assert numbers("native_nr", "x86").keys() == numbers("native_nr", "arm64").keys()
    assert numbers("compat_nr", "x86").keys() == numbers("compat_nr", "arm64").keys()


def test_a_number_that_stands_for_no_call_is_no_other_s() -> None:
    absent = {
        name: number for name, number in numbers("native_nr", "arm64").items()
        if number >= NOT_THERE
    }  # fmt: skip
    assert len(set(absent.values())) == len(absent)
    assert {name for name in absent if name_of("aarch64", absent[name])} == set()
