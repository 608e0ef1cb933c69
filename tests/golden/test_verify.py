"""What `verify` prints of the shop under policies that deny some of it, as screen and as JSON.

python -m tests.golden.test_verify          writes them anew
"""

import io
import os
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest

from ethogram.cli.run import run
from tests.recordings import shop_recording

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent / "verify"
PROFILE = """{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
 "syscalls": [{"names": ["accept4", "bind", "brk", "capset", "clone", "close", "connect",
  "epoll_wait", "execve", "exit_group", "listen", "mmap", "openat", "poll", "prctl",
  "read", "recvfrom", "rt_sigsuspend", "sendfile", "sendto", "socket", "unlink", "write", "writev"],
  "action": "SCMP_ACT_ALLOW"}]}
"""
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: loadgen, namespace: shop-staging}
spec: {podSelector: {matchLabels: {app: loadgen}}, policyTypes: [Egress]}
"""


def printed(output_format: str) -> str:
    """Return what `verify` prints in *output_format*."""
    with tempfile.TemporaryDirectory() as directory, chdir(directory):
        shop_recording(Path("shop.rec"))
        Path("profile.json").write_text(PROFILE)
        Path("policy.yaml").write_text(POLICY)
        text = io.StringIO()
        words = ["profile.json", "policy.yaml", "--against", "shop.rec", "--format", output_format]
        with redirect_stdout(text):
            assert run(["verify", *words]) == 12
        return text.getvalue()


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_what_is_printed_is_as_it_was(output_format):
    expected = (GOLDEN / f"shop.{output_format}").read_text()
    assert printed(output_format) == expected


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    for name in ("text", "json"):
        (GOLDEN / f"shop.{name}").write_text(printed(name))
