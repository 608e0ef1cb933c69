"""What tests do to the directories above theirs, which may be the machine's own."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.passable import passable

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("above", ["tmp", "pytest-of-root"])
def test_others_may_pass_what_is_of_the_test_and_nothing_else_is_touched(
    above: str, tmp_path: Path
) -> None:
    machine = tmp_path / "machine"
    ours = machine / above / "base/test_one0"
    ours.mkdir(parents=True)
    for place, kept in ((machine, 0o1770), (machine / above, 0o1700), (ours, 0o700)):
        place.chmod(kept)
    ours.parent.chmod(0o700)
    assert passable(ours) == ours
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (ours, *ours.parents[:3])]
    assert modes == [0o755, 0o755, 0o1700 if above == "tmp" else 0o1755, 0o1770]
