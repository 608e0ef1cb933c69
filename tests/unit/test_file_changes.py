"""What is done to files without opening them: named, learnt, judged where it could be learnt."""

from __future__ import annotations

import numpy as np
import pytest

from detector.grading import grade
from ethogram.contracts.baseline import Evidence, FileValue, Observation, Rule, Rules, rule_id
from ethogram.contracts.events import EventFlag
from ethogram.contracts.flags import Access, is_open
from ethogram.contracts.matching import Allowlist
from learner.dimensions import access_letters, one_bit_a_letter
from profiler.file_paths import path_of
from tests.baselines import make_baseline, syscall_rule
from tests.unit.indicators.judging import fires, seen

pytestmark = pytest.mark.unit

START = int(EventFlag.START)
CUT = int(EventFlag.PATH_TRUNCATED)


@pytest.mark.parametrize(
    ("directory", "asked", "path", "kept"),
    [
        (b"/srv", b"data", b"/srv/data", None),
        (b"/srv", b"./a//b", b"/srv/a/b", None),
        (b"/srv", b"../etc/passwd", b"/etc/passwd", b"../etc/passwd"),
        (b"/", b"/etc/passwd", b"/etc/passwd", None),
        (b"/", b"etc", b"/etc", None),
        (b"/jail", b"/etc/passwd", b"/jail/etc/passwd", b"/etc/passwd"),
        (b"/jail", b"/../etc", b"/jail/etc", b"/../etc"),
        (b"", b"relative", b"/relative", None),
    ],
)
def test_a_name_is_followed_from_where_it_starts(
    directory: bytes, asked: bytes, path: bytes, kept: bytes | None
) -> None:
    assert path_of(directory, asked, START)[:2] == (path, kept)


def test_a_path_that_lost_its_beginning_is_not_absolute() -> None:
    assert path_of(b"/d/leaf", b"leaf", CUT)[:2] == (b".../d/leaf", None)
    assert path_of(b"/d", b"leaf", START | CUT)[:2] == (b".../d/leaf", None)


def test_an_open_is_told_from_what_is_none() -> None:
    opens = [Access.READ, Access.WRITE | Access.TRUNCATE, Access.PATH_ONLY, Access(0)]
    others = [Access.TRUNCATE, Access.UNLINK, Access.MAKE | Access.DIRECTORY, Access.ATTRIBUTES]
    assert is_open(np.array(opens + others, np.uint16)).tolist() == [True] * 4 + [False] * 4


def test_equal_letters_are_one_group() -> None:
    access = np.array(
        [Access.MAKE | Access.DIRECTORY, Access.RENAME_TO, Access.READ | Access.PATH_RACY,
         Access.RENAME_FROM, Access.UNLINK, Access.LINK | Access.MAKE],
        np.uint16,
    )  # fmt: skip
    groups = one_bit_a_letter(access)
    assert [access_letters(int(bits)) for bits in groups] == ["n", "n", "r", "d", "d", "nl"]
    assert len(set(groups.tolist())) == 4


def _allowlist(access: str, *, file_changes: bool) -> Allowlist:
    evidence = Evidence.model_validate(syscall_rule("read").evidence.model_dump())
    value = FileValue(path="/srv/data", access=access)
    rule = Rule[FileValue](id=rule_id("files", value), value=value, evidence=evidence)
    baseline = make_baseline()
    told = Observation.model_validate(
        baseline.observation.model_dump() | {"file_changes": file_changes or None}
    )
    return Allowlist(
        baseline.model_copy(update={"rules": Rules(files=(rule,)), "observation": told})
    )


@pytest.mark.parametrize(
    ("path", "access", "by_new", "by_old"),
    [
        ("/srv/data", "d", True, True),
        ("/srv/data", "p", False, True),
        ("/srv/other", "d", False, True),
        ("/srv/other", "t", False, True),
        ("/srv/data", "w", False, False),
        ("/srv/other", "r", False, False),
        ("/srv/other", "", False, False),
    ],
)
def test_a_baseline_judges_only_what_its_recorder_told(
    path: str, access: str, *, by_new: bool, by_old: bool
) -> None:
    value = FileValue(path=path, access=access)
    assert _allowlist("rd", file_changes=True).allows("files", value) == by_new
    assert _allowlist("rd", file_changes=False).allows("files", value) == by_old


@pytest.mark.parametrize(
    ("path", "access", "severity", "technique"),
    [
        ("/etc/cron.d/job", "n", "high", "T1053.003"),
        ("/usr/bin/ls", "n", "high", "T1554"),
        ("/var/log/app/access.log", "d", "medium", "T1685.006"),
        ("/etc/shadow", "l", "medium", "T1003.008"),
        ("/tmp/x", "d", "low", "T1070.004"),
        ("/srv/data", "d", "medium", "T1070.004"),
        ("/srv/data", "p", "low", "T1222.002"),
    ],
)
def test_a_change_outside_the_baseline_has_its_class(
    path: str, access: str, severity: str, technique: str
) -> None:
    found = grade(FileValue(path=path, access=access))
    assert (found.severity, found.attack[0].technique) == (severity, technique)


def test_what_is_brought_to_a_place_by_rename_is_written_there() -> None:
    ways = [Access.RENAME_TO, Access.SYMLINK, Access.MAKE | Access.LINK, Access.RENAME_FROM,
            Access.UNLINK, Access.ATTRIBUTES]  # fmt: skip
    rows = seen("files", *({"path": b"/etc/cron.d/job", "access": int(way)} for way in ways))
    assert fires("cron-write", rows) == [True, True, True, False, False, False]
