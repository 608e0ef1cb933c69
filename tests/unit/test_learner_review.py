"""What people decide about baselines: rules left out, and overlays."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import (
    Baseline,
    FileValue,
    Quarantined,
    SyscallValue,
    dump_baseline,
    parse_baseline,
    rule_id,
)
from ethogram.contracts.matching import allows
from ethogram.contracts.overlay_file import OverlayFile, load_overlay, parse_overlay
from ethogram.contracts.overlays import expired, in_force
from ethogram.contracts.recording import Recording
from ethogram.errors import UsageError
from learner.learn import learn
from learner.review import Review, reviewed
from learner.summary import summarize
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

TODAY = date(2026, 11, 23)
SHADOW = FileValue(path="/etc/shadow", access="r")
PTRACE = SyscallValue(arch="x86_64", name="ptrace", nr=101)
WHO = {"match": {"kind": "Deployment", "name": "checkout"}, "author": "alice", "reason": "SEC-12"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[Baseline]:
    place = tmp_path_factory.mktemp("shop") / "recording"
    return learn(summarize(Recording.open(shop_recording(place))))


@pytest.fixture
def checkout(shop: list[Baseline]) -> Baseline:
    """The shop's checkout, which read password hashes while an indicator fired."""
    read = Quarantined(
        id=rule_id("files", SHADOW),
        dimension="files",
        value=SHADOW,
        indicators=("reads-secrets",),
        evidence=shop[0].rules.files[0].evidence,
    )
    return shop[0].model_copy(update={"quarantined": (read,)})


def overlay(*entries: dict[str, Any], name: str = "reviewed.yaml") -> OverlayFile:
    given = [{"expires": "2027-01-31"} | WHO | entry for entry in entries]
    document = {"schema": "ethogram.overlay/1", "entries": given}
    return parse_overlay(json.dumps(document), source=name)


def after(baseline: Baseline, today: date = TODAY, **choices: Any) -> Baseline:
    (found,), _ = reviewed([baseline], Review(**choices), today=today)
    assert parse_baseline(dump_baseline(found)) == found
    return found


def withheld(baseline: Baseline) -> dict[str, str]:
    return {str(one.value): one.by for one in baseline.withheld or ()}


def test_no_choice_changes_nothing(shop: list[Baseline]) -> None:
    again, notes = reviewed(shop, Review(), today=TODAY)
    assert [dump_baseline(one) for one in again] == [dump_baseline(one) for one in shop]
    assert notes == []


@pytest.mark.parametrize(
    "name", ["syscalls:accept4", "accept4", "syscalls:288", "ID", "syscalls-BEGIN"]
)
def test_a_rule_is_left_out_by_whatever_names_it(checkout: Baseline, name: str) -> None:
    (rule,) = [rule for rule in checkout.rules.syscalls if rule.value.name == "accept4"]
    name = {"ID": rule.id, "syscalls-BEGIN": rule.id[:-4]}.get(name, name)
    found = after(checkout, without=(name,))
    assert not allows(found, "syscalls", rule.value)
    (left,) = found.withheld or ()
    assert (left.id, left.by, left.evidence) == (rule.id, "without", rule.evidence)
    assert found.choices is not None
    assert found.choices.without == (name,)
    assert len(list(found.rules.all())) == len(list(checkout.rules.all())) - 1


def test_leaving_out_twice_is_leaving_out_once(checkout: Baseline) -> None:
    once = after(checkout, without=("accept4",))
    assert after(once, without=("accept4",)) == once


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("syscalls:acept4", "did you mean `syscalls:accept4`?"),
        ("syscall:accept4", "did you mean `syscalls:accept4`?"),
        ("/usr/sbin/ngin", "did you mean `execs:/usr/sbin/nginx`?"),
        ("~~~~", "`ethogram show BASELINE --format json` has every rule"),
    ],
)
def test_a_name_of_no_rule_is_refused(shop: list[Baseline], name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="no rule has this name") as error:
        reviewed(shop, Review(without=(name,)), today=TODAY)
    assert error.value.hint == hint


def test_the_beginning_of_many_ids_is_refused(shop: list[Baseline]) -> None:
    begins = Counter(rule.id[: len("syscalls-0")] for rule in shop[0].rules.syscalls)
    ((begin, number),) = begins.most_common(1)
    with pytest.raises(UsageError, match=f"{number} rules begin like this"):
        reviewed(shop[:1], Review(without=(begin,)), today=TODAY)


def test_only_what_a_phase_showed_stays(checkout: Baseline) -> None:
    found = after(checkout, only_phases=("steady",))
    assert found.withheld
    assert {one.by for one in found.withheld} == {"only-phase"}
    assert all("steady" in rule.evidence.phases for _, rule in found.rules.all())
    assert all("steady" not in one.evidence.phases for one in found.withheld)
    assert len(found.withheld) + len(list(found.rules.all())) == len(list(checkout.rules.all()))


def test_what_too_few_replicas_showed_is_left_out(checkout: Baseline) -> None:
    found = after(checkout, min_replicas=2)
    assert {one.evidence.instances for one in found.withheld or ()} == {1}
    assert found.choices is not None
    assert found.choices.min_replicas == 2


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"min_replicas": 3}, "`--min-replicas 3` leaves `shop-staging/Deployment/checkout`"),
        ({"only_phases": ("unknown",)}, "`--only-phase unknown` leaves"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(
    shop: list[Baseline], choices: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as error:
        reviewed(shop, Review(**choices), today=TODAY)
    assert words in error.value.message


def test_an_overlay_allows_what_is_quarantined_and_says_what_fired(checkout: Baseline) -> None:
    found = after(checkout, overlays=(overlay({"allow": "files:/etc/shadow"}),))
    assert allows(found, "files", SHADOW)
    assert found.quarantined == ()
    (rule,) = [rule for rule in found.rules.files if rule.value == SHADOW]
    assert rule.indicators == ("reads-secrets",)
    assert rule.evidence == checkout.quarantined[0].evidence
    assert rule.overlay is not None
    assert rule.overlay.model_dump() == {
        "author": "alice", "reason": "SEC-12", "expires": "2027-01-31",
    }  # fmt: skip
    paths = [rule.value.path for rule in found.rules.files]
    assert paths == sorted(paths)


def test_an_overlay_may_allow_what_nobody_saw(checkout: Baseline) -> None:
    call = {"dimension": "syscalls", "value": {"arch": "x86_64", "name": "ptrace"}}
    found = after(checkout, overlays=(overlay({"allow": call}),))
    assert allows(found, "syscalls", PTRACE)
    (rule,) = [rule for rule in found.rules.syscalls if rule.value == PTRACE]
    assert rule.id == rule_id("syscalls", PTRACE)
    assert (rule.evidence.calls, rule.evidence.first_seen) == (0, None)


def test_an_overlay_denies_and_what_it_took_away_stands_there(checkout: Baseline) -> None:
    found = after(checkout, overlays=(overlay({"deny": "execs:/usr/bin/ls"}),))
    (left,) = found.withheld or ()
    assert (left.by, left.overlay and left.overlay.author) == ("overlay", "alice")
    assert withheld(found) == {"path='/usr/bin/ls' upper=None": "overlay"}


def test_what_is_allowed_anyway_needs_no_overlay(checkout: Baseline) -> None:
    found = after(checkout, overlays=(overlay({"allow": "syscalls:accept4"}),))
    assert all(rule.overlay is None for _, rule in found.rules.all())


def test_an_overlay_brings_back_what_too_few_showed(checkout: Baseline) -> None:
    kept = overlay({"allow": "execs:/usr/bin/ls"})
    found = after(checkout, min_replicas=2, overlays=(kept,))
    assert "/usr/bin/ls" in [rule.value.path for rule in found.rules.execs]


def test_decisions_that_contradict_one_another_are_refused(checkout: Baseline) -> None:
    allow, deny = ({word: "execs:/usr/bin/ls"} for word in ("allow", "deny"))
    for choices in (
        {"overlays": (overlay(allow, deny),)},
        {"without": ("execs:/usr/bin/ls",), "overlays": (overlay(allow),)},
    ):
        with pytest.raises(UsageError, match="leaves out"):
            after(checkout, **choices)


def test_the_order_of_decisions_does_not_matter(checkout: Baseline) -> None:
    first = overlay({"allow": "files:/etc/shadow", "expires": "2027-02-01"}, name="a.yaml")
    second = overlay({"allow": "files:/etc/shadow"}, {"deny": "execs:/usr/bin/ls"}, name="b.yaml")
    found = after(checkout, overlays=(first, second), without=("brk", "accept4"))
    assert after(checkout, overlays=(second, first), without=("accept4", "brk")) == found
    (rule,) = [rule for rule in found.rules.files if rule.overlay]
    assert rule.overlay is not None
    assert rule.overlay.expires == "2027-02-01"


def test_an_expired_entry_is_not_applied_and_said(checkout: Baseline) -> None:
    past = overlay(
        {"allow": "files:/etc/shadow", "expires": "2026-11-22"},
        {"deny": "execs:/usr/bin/ls", "expires": "2026-11-22"},
        {"deny": "execs:/usr/bin/gone-since", "expires": "2026-11-22"},
    )
    (found,), notes = reviewed([checkout], Review(overlays=(past,)), today=TODAY)
    assert found == checkout
    assert notes == [
        "overlay `reviewed.yaml`: entry 1, allow `files:/etc/shadow`: expired on 2026-11-22, not"
        " applied",
        "overlay `reviewed.yaml`: entry 2, deny `execs:/usr/bin/ls`: expired on 2026-11-22, not"
        " applied",
        "overlay `reviewed.yaml`: entry 3, deny `execs:/usr/bin/gone-since`: expired on"
        " 2026-11-22, not applied",
    ]


def test_an_entry_for_another_workload_changes_nothing_and_is_said(checkout: Baseline) -> None:
    other = overlay({"deny": "execs:/bin/x", "match": {"name": "other-*"}})
    (found,), notes = reviewed([checkout], Review(overlays=(other,)), today=TODAY)
    assert found == checkout
    assert notes == [
        "overlay `reviewed.yaml`: entry 1, deny `execs:/bin/x`: is for no workload here"
    ]


def test_an_overlay_that_names_no_rule_is_refused(checkout: Baseline) -> None:
    with pytest.raises(UsageError, match="allow `files:/etc/shadov`: no rule") as error:
        after(checkout, overlays=(overlay({"allow": "files:/etc/shadov"}),))
    assert error.value.hint == "did you mean `files:/etc/shadow`?"


def test_what_an_overlay_allowed_ends_with_its_last_day(checkout: Baseline) -> None:
    found = after(checkout, overlays=(overlay({"allow": "files:/etc/shadow"}),))
    assert in_force(found, date(2027, 1, 31)) is found
    later = in_force(found, date(2027, 2, 1))
    assert not allows(later, "files", SHADOW)
    (ended,) = expired(later)
    assert (ended.value, ended.indicators) == (SHADOW, ("reads-secrets",))
    assert in_force(later, date(2027, 3, 1)) == later
    assert parse_baseline(dump_baseline(later)) == later


def test_what_an_overlay_denied_stays_denied(checkout: Baseline) -> None:
    found = after(checkout, overlays=(overlay({"deny": "execs:/usr/bin/ls"}),))
    assert in_force(found, date(2030, 1, 1)) == found


ENTRY = '{match: {name: a}, deny: "accept4", author: a, reason: b, expires: 2027-01-31}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not an overlay: it is empty"),
        ("entries: []", "it has no `schema: ethogram.overlay/1`"),
        ("schema: ethogram.overlay/2", "this version reads"),
        ("schema: ethogram.baseline/1", "is a baseline, not an overlay"),
        ("schema: ethogram.overlay/1\nentries: []", "field `entries`"),
        ("schema: ethogram.overlay/1\nentries: [&a b]", "anchors and aliases are not read"),
        (ENTRY.replace("2027-01-31", "20270131"), "field `entries.0.expires`: a day is written"),
        (ENTRY.replace("2027-01-31", '"2027-02-30"'), "field `entries.0.expires`"),
        (ENTRY.replace(", expires: 2027-01-31", ""), "field `entries.0.expires`"),
        (ENTRY.replace("author: a", "autor: a"), "`entries.0.autor`: there is no such field"),
        (ENTRY.replace("{name: a}", "{}"), "field `entries.0.match`: it says no workload"),
        (ENTRY.replace("deny:", "allow: x, deny:"), "either `allow` or `deny`"),
        (ENTRY.replace('"accept4"', "{dimension: files}"), "`entries.0.deny`: it is a rule such"),
        (
            ENTRY.replace('"accept4"', "{dimension: files, value: {path: /x}}"),
            "`access` of files: Field required",
        ),
        (
            ENTRY.replace('"accept4"', "{dimension: syscalls, value: {arch: x86_64, name: foo}}"),
            "x86_64 has no system call `foo`",
        ),
        (
            ENTRY.replace(
                '"accept4"', "{dimension: syscalls, value: {arch: x86_64, name: brk, nr: 3}}"
            ),
            "system call 3 of x86_64 is not `brk`",
        ),
    ],
)
def test_a_file_that_is_no_overlay_is_refused_by_field(text: str, words: str) -> None:
    if text.startswith("{"):
        text = f"schema: ethogram.overlay/1\nentries:\n- {text}"
    with pytest.raises(UsageError) as error:
        parse_overlay(text, source="o.yaml")
    assert words in error.value.message
    assert "`o.yaml`" in error.value.message
    assert "\n" not in error.value.message


def test_a_day_needs_no_quotes() -> None:
    text = f"schema: ethogram.overlay/1\nentries:\n- {ENTRY}"
    assert parse_overlay(text).entries[0].expires == date(2027, 1, 31)


@pytest.mark.parametrize("place", ["absent.yaml", "."])
def test_an_overlay_that_cannot_be_read_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="overlay `"):
        load_overlay(tmp_path / place)
