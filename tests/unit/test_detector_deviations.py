"""What is not in the baseline and yet no deviation."""

from pathlib import Path

import pytest

from detector.deviations import Deviations
from detector.library import Known
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "nr", "is_told"), [("restart_syscall", 219, False), ("ptrace", 101, True)]
)
def test_a_call_that_the_kernel_makes_of_an_interrupted_wait_is_none(
    name: str, nr: int, is_told: bool
) -> None:
    known = Known.of(Path("checkout.baseline.yaml"), make_baseline())
    asked = Deviations()._asked(known, "syscalls", "x86_64", str(nr).encode())
    assert (getattr(asked, "name", None) == name) == is_told
