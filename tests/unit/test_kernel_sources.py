"""What stands twice in the kernel's sources, because C cannot derive it, stands there alike."""

import re
from pathlib import Path

import pytest

from profiler.loaders.core import object_path
from tests.bpf_stack import LIMIT, deepest

pytestmark = pytest.mark.unit

BPF = Path(__file__).parents[2] / "bpf"


def test_every_privileged_call_is_in_the_set_that_spares_the_others() -> None:
    source = (BPF / "privileges.h").read_text(encoding="utf-8")
    listed = re.search(r"#define OPERATION_CALLS.*?\n\n", source, re.DOTALL)
    switch = source[source.index("__u32 operation_of(") :]
    switch = switch[: switch.index("\n}\n")]
    assert listed is not None
    xattr = {"NR_setxattr", "NR_lsetxattr", "NR_fsetxattr"}
    looked_at = set(re.findall(r"case (NR_\w+):", switch)) | xattr
    assert set(re.findall(r"NR_\w+", listed[0])) == looked_at


def test_no_function_of_its_own_takes_a_key_that_it_was_given() -> None:
    """Before Linux 6.3 or so the memory of a global function's argument is no key of a map."""
    functions = r"^__noinline \w+ (\w+)\(([^)]*)\)\n\{\n(.*?)^\}"
    found = []
    for path in BPF.glob("*.h"):
        source = path.read_text(encoding="utf-8")
        for name, parameters, body in re.findall(functions, source, re.DOTALL | re.MULTILINE):
            given = "|".join(re.findall(r"\*(\w+)", parameters)) or "-"
            used = rf"(?:bpf_map_\w+_elem|count_in)\(&?\w+, (?:(?:{given})\b|&(?:{given})->)"
            found += [f"{path.name}: {name}"] * bool(re.search(used, body))
    assert found == []


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_fit_on_one_stack_as_kernels_want_that_have_no_other(
    machine: str, is_plain: bool
) -> None:
    depth, calls = deepest(object_path(machine, is_plain=is_plain))[0]
    assert depth <= LIMIT, " -> ".join(calls)


def test_no_slot_can_fill_a_map_that_others_share() -> None:
    source = (BPF / "maps.h").read_text(encoding="utf-8")
    quota = {kind: int(size) for kind, size in re.findall(r"quota_(\w+) = (\d+);", source)}
    room = {name: int(size) for name, size in re.findall(r"HASH\((\w+), .*, (\d+)\);", source)}
    kinds = {
        "files": "files", "grams": "grams", "flows": "flows", "unix_flows": "flows",
        "odd_calls": "rare", "errors": "rare", "denials": "rare", "privileges": "rare",
    }  # fmt: skip
    assert all(room[name] >= 3 * quota[kind] for name, kind in kinds.items())


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_plain_object_names_no_function_that_old_kernels_lack(machine: str) -> None:
    name = b"bpf_rdonly_cast"
    assert name in object_path(machine).read_bytes()
    assert name not in object_path(machine, is_plain=True).read_bytes()
