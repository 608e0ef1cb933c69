"""What stands twice in the kernel's sources, because C cannot derive it, stands there alike."""

import re
from pathlib import Path

import pytest

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
