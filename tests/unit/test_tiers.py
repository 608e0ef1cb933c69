"""What the tiers promise, seen from outside: pytest is run on small modules."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
MARKERS = "\n".join(
    f"    {tier}: tier" for tier in ("unit", "property", "contract", "golden", "bpf", "e2e")
)


def run(directory: Path, source: str, require: str = "") -> subprocess.CompletedProcess[str]:
    """Run pytest on *source* with the tiers of this repository and nothing else of it."""
    (directory / "test_it.py").write_text("import pytest, socket\n" + source)
    (directory / "pytest.ini").write_text(f"[pytest]\nmarkers =\n{MARKERS}\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ETHOGRAM_REQUIRE": require},
        capture_output=True,
        text=True,
        check=False,
    )


SKIPPED = "@pytest.mark.golden\ndef test_it():\n    pytest.skip('no runc')\n"


def test_a_test_without_a_tier_stops_the_run(tmp_path):
    done = run(tmp_path, "def test_it(): pass\n")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_it has no tier" in done.stderr


def test_a_test_of_two_tiers_stops_the_run(tmp_path):
    done = run(tmp_path, "@pytest.mark.unit\n@pytest.mark.bpf\ndef test_it(): pass\n")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "the tiers unit, bpf" in done.stderr


def test_a_skip_is_a_failure_where_its_tier_is_required(tmp_path):
    assert run(tmp_path, SKIPPED).returncode == pytest.ExitCode.OK
    done = run(tmp_path, SKIPPED, require="e2e,golden")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "required by ETHOGRAM_REQUIRE, but: Skipped: no runc" in done.stdout


def test_an_expected_failure_is_no_skip(tmp_path):
    source = "@pytest.mark.unit\n@pytest.mark.xfail\ndef test_it(): assert False\n"
    assert run(tmp_path, source, require="unit").returncode == pytest.ExitCode.OK


def test_a_required_tier_must_exist(tmp_path):
    done = run(tmp_path, SKIPPED, require="golden,moon")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no tier is called `moon`" in done.stderr


def test_a_unit_test_cannot_reach_a_network(tmp_path):
    source = "@pytest.mark.unit\ndef test_it(): socket.create_connection(('192.0.2.1', 9), 1)\n"
    done = run(tmp_path, source)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "may not reach the network: '192.0.2.1'" in done.stdout


def test_a_unit_test_may_talk_to_itself(tmp_path):
    source = (
        "@pytest.mark.unit\ndef test_it():\n"
        "    server = socket.create_server(('127.0.0.1', 0))\n"
        "    socket.create_connection(server.getsockname(), 1).close()\n"
    )
    done = run(tmp_path, source)
    # Where the loopback device is down, as in an empty network namespace, the kernel refuses.
    assert "may not reach the network" not in done.stdout
