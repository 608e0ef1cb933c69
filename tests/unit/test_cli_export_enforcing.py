"""What `export` says comes next: that a policy logs is said of those that can alone."""

import pytest

from ethogram.cli.exporting import chosen_exporters, words_about_enforcing
from exporters.registry import exporters
from tests.admission import make_admission_baseline
from tests.systemd import make_unit

pytestmark = pytest.mark.unit

WORDS = {
    "admission": "it notes what it would refuse",
    "cilium": "it neither denies nor logs",
    "gatekeeper": "it notes what it would refuse",
    "kyverno": "it notes what it would refuse",
    "networkpolicy": None,
    "seccomp": "it logs; once nothing shows, let it deny",
    "securitycontext": "the profile that it names logs",
    "systemd": "calls are logged, and nothing else is set",
}


def words(*targets, pairs=()):
    is_unit = targets == ("systemd",)
    baseline = make_unit() if is_unit else make_admission_baseline()
    chosen = chosen_exporters(targets, pairs, enforce=False)
    denying = [pair for pair in pairs if not pair.startswith("mode=")]
    return words_about_enforcing(
        [baseline], chosen, chosen_exporters(targets, denying, enforce=False)
    )


def test_every_target_has_words():
    assert WORDS.keys() == exporters().keys()


@pytest.mark.parametrize("target", sorted(WORDS))
def test_what_a_policy_does_until_it_is_enforced_is_its_own(target):
    found = words(target)
    assert found == WORDS[target] or str(found).startswith(f"{WORDS[target]};")


def test_a_mode_that_warns_does_not_note():
    assert str(words("admission", pairs=["mode=warn"])).startswith("it warns")


def test_of_several_targets_each_has_its_own():
    assert words("networkpolicy", "cilium", "seccomp") == (
        "cilium: it neither denies nor logs; once `ethogram watch` shows nothing, let it deny;"
        " seccomp: it logs; once nothing shows, let it deny"
    )
    assert words("networkpolicy") is None


def test_what_is_said_of_several_targets_is_said_once():
    assert str(words("kyverno", "seccomp", "admission")).startswith("kyverno, admission: it notes")
