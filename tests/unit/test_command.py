"""Which file a command is, and who it runs as: what can be said before anything runs."""

import os
import pwd
from pathlib import Path

import pytest

from ethogram.errors import UsageError
from profiler.command import resolve_command
from profiler.invoker import environment_of, invoker_of

pytestmark = pytest.mark.unit

NOBODY = pwd.getpwnam("nobody")


def executable(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_command_is_looked_up_in_the_path(tmp_path):
    file = executable(tmp_path / "serve")
    assert resolve_command(["serve", "-x"], path=f"/nonexistent:{tmp_path}") == str(file)


def test_a_command_with_a_slash_is_itself(tmp_path, monkeypatch):
    executable(tmp_path / "serve")
    monkeypatch.chdir(tmp_path)
    assert resolve_command(["./serve"], path="") == "./serve"


def test_a_typo_gets_a_suggestion(tmp_path):
    executable(tmp_path / "curl")
    with pytest.raises(UsageError) as caught:
        resolve_command(["crul"], path=str(tmp_path))
    assert caught.value.message == "there is no command `crul`"
    assert caught.value.hint == "did you mean `curl`?"


def test_what_is_not_a_program_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "notes").write_text("")
    refused = {
        (): "no command is given",
        ("",): "no command is given",
        ("true", "a\0b"): "an argument of the command holds a NUL byte",
        (str(tmp_path),): f"`{tmp_path}` cannot be run: it is a directory",
        (str(tmp_path / "notes"),): f"`{tmp_path / 'notes'}` cannot be run: it is not executable",
        (str(tmp_path / "none"),): f"there is no file `{tmp_path / 'none'}`",
    }
    for argv, message in refused.items():
        with pytest.raises(UsageError) as caught:
            resolve_command(argv)
        assert caught.value.message == message
        assert caught.value.exit_code == 2


def test_without_sudo_or_without_root_nobody_else_is_meant():
    assert invoker_of({}, euid=0) is None
    assert invoker_of({"SUDO_UID": "1000", "SUDO_GID": "1000"}, euid=1000) is None
    assert invoker_of({"SUDO_UID": "0", "SUDO_GID": "0"}, euid=0) is None


def test_behind_sudo_the_user_who_asked_is_meant():
    found = invoker_of({"SUDO_UID": str(NOBODY.pw_uid), "SUDO_GID": "12"}, euid=0)
    assert found is not None
    assert (found.uid, found.gid, found.name) == (NOBODY.pw_uid, 12, "nobody")


def test_a_user_that_the_system_does_not_list_has_a_number_and_no_home():
    found = invoker_of({"SUDO_UID": "3999999999", "SUDO_GID": "7"}, euid=0)
    assert found is not None
    assert (found.uid, found.gid, found.name) == (3999999999, 7, None)
    assert environment_of(found, {"HOME": "/root", "LANG": "C"}) == {"LANG": "C"}


@pytest.mark.parametrize("uid", ["", "x", "-1", "4294967295", "9" * 50, "١"])
def test_a_user_id_that_is_none_is_refused_and_not_taken_for_root(uid):
    with pytest.raises(UsageError, match="`SUDO_UID` is no user"):
        invoker_of({"SUDO_UID": uid, "SUDO_GID": "0"}, euid=0)


def test_an_environment_without_sudo_stays_as_it_is():
    assert environment_of(None, os.environ) == dict(os.environ)
