"""What the benchmark on attacks counts, and that it learns nothing from what it is tested on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.attacks import Outcome, Recording, Summary, difference, outcome, read, summed
from benchmarks.shil import ENSEMBLE, outcomes_of, scores_of, shared
from ethogram.errors import UsageError
from learner.ensemble import DEFAULT_ALONE

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


def flags(*flagged: int, length: int = 100) -> np.ndarray:
    found = np.zeros(length, bool)
    found[list(flagged)] = True
    return found


def recording(start: int, success: int) -> Recording:
    return Recording(np.zeros((100, 1)), start, success)


def test_an_attack_is_detected_from_its_start_to_its_success() -> None:
    attack = recording(60, 64)
    hits = [outcome("a", attack, flags(at), 1).is_detected for at in (59, 60, 64, 65)]
    assert hits == [False, True, True, False]


def test_what_is_flagged_before_the_attack_is_a_false_alarm() -> None:
    found = outcome("a", recording(60, 64), flags(3, 4, 9, 62, 80), 1)
    assert (found.flagged, found.windows, found.episodes) == (3, 60, 2)
    assert found.minutes == pytest.approx(0.1)


def test_long_windows_that_meet_the_attack_are_in_it() -> None:
    attack = recording(55, 61)  # windows of 10: it is in the sixth and the seventh
    found = [outcome("a", attack, flags(at, length=10), 10) for at in (4, 5, 6, 7)]
    assert [each.is_detected for each in found] == [False, True, True, False]
    assert [each.flagged for each in found] == [1, 0, 0, 0]


def test_chance_is_how_often_as_long_an_attack_would_have_met_a_flag() -> None:
    assert outcome("a", recording(60, 60), flags(3), 1).chance == pytest.approx(1 / 60)
    assert outcome("a", recording(60, 64), flags(3), 1).chance == pytest.approx(5 / 60)
    assert outcome("a", recording(60, 99), flags(3), 1).chance == pytest.approx(40 / 60)
    assert outcome("a", recording(10, 99), flags(3), 1).chance == 1
    assert outcome("a", recording(60, 64), flags(), 1).chance == 0


def test_counts_of_short_windows_make_those_of_long_ones() -> None:
    counts = np.arange(14.0).reshape(7, 2)
    assert summed(counts, 3).tolist() == [[6, 9], [24, 27]]
    assert summed(counts, 1).tolist() == counts.tolist()


def outcomes(*detected: str) -> list[Outcome]:
    """Return what four recordings of each application make; 1 is detected."""
    return [
        Outcome(f"app{number}", each == "1", 0, 1, 0, 1.0, 0.0)
        for number, text in enumerate(detected)
        for each in text
    ]


def test_the_difference_is_paired_and_drawn_by_application() -> None:
    same = difference(outcomes("1100", "1010"), outcomes("0011", "0101"))
    assert same == (0.0, 0.0, 0.0)
    point, low, high = difference(outcomes("1111", "0000"), outcomes("0000", "0000"))
    assert (point, low, high) == (0.5, 0.0, 1.0)


def test_shares_are_over_all_recordings_and_all_time() -> None:
    found = Summary.of(
        [Outcome("a", True, 2, 100, 1, 1.0, 0.5), Outcome("a", False, 0, 300, 0, 3.0, 0.0)]
    )
    assert found == Summary(0.5, 0.005, 0.25, 0.25)


def written(directory: Path, *, names: int = 2, late: int = 0) -> Path:
    """Write recordings of made applications; *late* is added to what comes after the attacks."""
    random = np.random.default_rng(1)
    rows, times = [], []
    for name in (f"CVE-{number}" for number in range(names)):
        for role, containers, length in (("train", 12, 400), ("test", 4, 300)):
            for container in range(1, containers + 1):
                counts = random.poisson([20.0, 5.0, 0.0], (length, 3))
                if role == "test":
                    counts[150:156, 2] = 3
                    counts[200:] += late
                part = pd.DataFrame(counts, columns=["sc_read", "sc_write", "sc_ptrace"])
                rows.append(
                    part.assign(cve=name, role=role, container=container, sample=range(length))
                )
        for container in range(1, 5):
            times.append((name, container, 150, 155, 160, True))
    directory.mkdir()
    pd.concat(rows).to_parquet(directory / "windows.parquet")
    names_of = ["cve", "container", "attack_start", "attack_success", "attack_end", "in_paper"]
    pd.DataFrame(times, columns=names_of).to_csv(directory / "attack_times.csv", index=False)
    return directory


def test_what_comes_after_the_attack_changes_nothing(tmp_path: Path) -> None:
    names = ("unseen-call", *DEFAULT_ALONE)
    (made,) = read(written(tmp_path / "made", names=1))
    (later,) = read(written(tmp_path / "later", names=1, late=50))
    each = [scores_of(application, size=1, names=names) for application in (made, later)]
    found = [outcomes_of([one], name, shared([one], name, 1), 1) for one in each for name in names]
    assert found[: len(names)] == found[len(names) :]
    assert Summary.of(found[0]).detected == 1
    assert Summary.of(found[0]).episodes == 0
    ensemble = outcomes_of(each[:1], ENSEMBLE, shared(each[:1], ENSEMBLE, 1), 1)
    assert Summary.of(ensemble).detected == 1


def test_the_command_prints_one_document(tmp_path: Path) -> None:
    directory = written(tmp_path / "made", names=1)
    command = [sys.executable, "benchmarks/shil.py", str(directory), "--sizes", "50"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (part,) = json.loads(ran.stdout)["parts"]
    assert [table["rows"][-1][0] for table in part["tables"]] == [
        ENSEMBLE,
        ENSEMBLE,
        "isolation-forest",
    ]
    assert ENSEMBLE in ran.stderr


def test_a_directory_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recordings of attacks"):
        read(tmp_path)
