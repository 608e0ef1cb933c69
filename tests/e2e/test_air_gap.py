"""The wheel works where there is no network: installed without an index, run in an empty one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.deployment import DEPLOY, ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of an environment that has our wheel, and the rest from this one.

    The rest are files of an index, which a test cannot ask; `deploy/image/wheelhouse` does.
    """
    place = tmp_path_factory.mktemp("air-gap")
    offline(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps",
        "--no-build-isolation", "--wheel-dir", place / "wheels", ROOT,
    )  # fmt: skip
    (wheel,) = (place / "wheels").glob("ethogram-*.whl")
    offline(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
        "--target", place / "packages", wheel,
    )  # fmt: skip
    return place


def offline(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run *words* where there is not even a loopback address."""
    done = subprocess.run(
        ["unshare", "--net", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=150, **options,
    )  # type: ignore[call-overload]  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done  # type: ignore[no-any-return]


def test_it_records_learns_exports_and_watches(installed: Path, tmp_path: Path) -> None:
    rest = sysconfig.get_path("purelib")
    start = (
        f"import sys; sys.path[:0] = [{str(installed / 'packages')!r}, {rest!r}]; "
        "import ethogram; assert 'air-gap' in ethogram.__file__, ethogram.__file__; "
        "from ethogram.cli import main; main()"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def ethogram(*words: str) -> str:
        line = (sys.executable, "-I", "-S", "-c", start, *words)
        return offline(*line, cwd=tmp_path, env=environment).stdout

    command = ("--", "sh", "-c", "cat /etc/hostname; ls /")
    ethogram("record", "-o", "recording", *command)
    ethogram("learn", "recording", "-o", "baselines", "--allow", "thin")
    ethogram("export", "baselines", "--to", "seccomp", "--allow", "thin", "-o", "policies",
             "--runtime", "none")  # fmt: skip
    lines = ethogram("watch", "--baseline", "baselines", "--format", "jsonl",
                     "--", "sh", "-c", "cat /etc/hostname; id").splitlines()  # fmt: skip
    assert any("/usr/bin/id" in json.loads(line).get("evidence", {}).get("observed", "")
               for line in lines)  # fmt: skip


def test_what_is_not_pinned_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    pinned = "debian@sha256:" + "0" * 64
    for words, why in (
        (("tag", "debian:12", "20261101T000000Z", tmp_path), "is not pinned"),
        (("tag", pinned, "latest", tmp_path), "is no moment"),
        (("tag", pinned, "20261101T000000Z", tmp_path / "missing"), "is no wheelhouse"),
    ):
        done = subprocess.run(
            [DEPLOY / "image/build", *words], capture_output=True, text=True, check=False
        )
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    recipe = (DEPLOY / "image/Containerfile").read_text()
    assert "FROM ${BASE} AS python" in recipe
    assert "--require-hashes" in recipe
    assert "\nUSER 65532:65532\n" in recipe
