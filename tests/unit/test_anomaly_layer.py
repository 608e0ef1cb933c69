"""What is handed to models of a window, and what their answers become; what is new at once."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.anomaly.frames import Frames
from detector.anomaly.layer import Anomalies
from detector.anomaly.new_sequences import known_grams, names_of
from detector.anomaly.pieces import Piece
from detector.anomaly.replies import REPLY, Loaded, Refused
from detector.anomaly.scorer import Scorer
from detector.library import Known
from detector.live import Live
from ethogram.contracts.baseline import ModelReference, dump_baseline, load_baselines
from ethogram.contracts.finding import Finding
from tests.anomaly import SECOND, make_model
from tests.recordings import START_NS, WINDOW_NS, columns_of, make_manifest, shop_recording
from tests.replay import Replay
from tests.unit.test_detector_judge import write_baselines

pytestmark = pytest.mark.unit

CHECKOUT, REPLICA = "checkout", 1
GRAM = b"\x01\0" * 6
MAP = bytes(1 << 13)
# Five times read, then another call: ptrace first.
PTRACED = np.array([101, *range(1, 40)], np.uint64)


class Shop:
    """The shop, whose checkout has a model; what the scorer says comes from the test."""

    def __init__(self, place: Path, reference: ModelReference) -> None:
        recording = shop_recording(place / "rec")
        baselines = write_baselines(recording, place / "baselines")
        for file, baseline in load_baselines(baselines):
            if baseline.match.name == CHECKOUT:
                changed = baseline.model_copy(update={"model": reference})
                file.write_text(dump_baseline(changed))
        self.scorer = Scorer()
        self.new: dict[int, np.ndarray] = {}
        self.anomalies = Anomalies(self.scorer, window_s=5.0, new_grams=lambda: self.new)
        self.replay = Replay(baselines, anomalies=self.anomalies)
        self.replay.recording(recording)

    def hear(self, **fields: Any) -> list[Finding]:
        """Have a strange window answered; return what is told of it when the next one ended."""
        whole: dict[str, Any] = {
            "kind": "strange", "model": 1, "instance": REPLICA, "first_ns": 40 * SECOND,
            "last_ns": 45 * SECOND, "seconds": 5.0, "is_new": True, "about": "call close",
            "detectors": ["residual-peak"], "reasons": ["close 900 times, usually 1 to 2"],
            "usual": ["close 1 to 2 times"], "p_value": 1e-6, "beyond": 3.0,
        }  # fmt: skip
        self.scorer.heard(REPLY.validate_python(whole | fields))
        return self.replay.rows(9)

    def know(self) -> None:
        """Have the model loaded; its windows had two new sequences at most."""
        words = base64.b64encode(MAP).decode()
        fields = {"kind": "loaded", "model": 1, "seconds": 5.0, "known": words}
        self.scorer.heard(REPLY.validate_python(fields))
        self.replay.rows(8)
        self.replay.rows(9)

    def sees(self, window: int, new: int, *, is_open: bool = False) -> list[Finding]:
        """Have the kernel tell of *new* sequences in *window*; return what is told of them."""
        before = len(self.replay.findings)
        self.new = {REPLICA: PTRACED[:new]}
        if is_open:
            began = START_NS + window * WINDOW_NS
            self.replay.live.look({"window": [window], "start": [began], "end": [began + SECOND]})
        else:
            self.replay.rows(window)
        self.new = {}
        return self.replay.findings[before:]

    def states(self) -> list[str]:
        return [model.state for model in self.anomalies.status().models]

    def last_piece(self) -> Piece:
        """Return what the scorer would be given next."""
        pieces = []
        while (message := self.scorer.next_piece()) is not None:
            pieces += [Piece.of_frame(frame) for frame in Frames().feed(message)]
        return pieces[-1]


@pytest.fixture(scope="module")
def reference() -> ModelReference:
    return make_model()[0]


@pytest.fixture
def shop(tmp_path: Path, reference: ModelReference) -> Iterator[Shop]:
    shop = Shop(tmp_path, reference)
    yield shop
    shop.anomalies.close()


def test_an_episode_is_a_finding_with_its_reasons(shop: Shop) -> None:
    (found,) = shop.hear()
    assert (found.layer, found.rule, found.attack) == ("anomaly", "anomaly-calls", ())
    assert found.workload.name == CHECKOUT
    assert found.evidence.observed == "close 900 times, usually 1 to 2"
    assert found.evidence.expected == ("close 1 to 2 times",)
    assert found.evidence.p_value == 1e-6
    assert found.evidence.values is None
    assert "the threshold that keeps 12/hour, p-value 1e-06; residual-peak" in found.reason
    assert (found.process, found.phase, found.count) == (None, "steady", 1)


def test_it_is_told_once_and_its_end_follows(shop: Shop) -> None:
    (first,) = shop.hear()
    assert shop.hear(is_new=False, last_ns=50 * SECOND) == []
    assert shop.hear(first_ns=60 * SECOND, last_ns=65 * SECOND) == []
    shop.replay.judge.findings.tell_again(10**18, is_last=True)
    last = shop.replay.findings[-1]
    assert last.fingerprint == first.fingerprint
    assert (last.count, last.first_seen[17:19], last.last_seen[14:19]) == (2, "40", "01:05")
    assert last.evidence.p_value == 1e-6


def test_what_begins_with_another_call_is_another_finding(shop: Shop) -> None:
    (first,), (second,) = shop.hear(), shop.hear(about="sequence ptrace")
    assert first.fingerprint != second.fingerprint


def test_what_is_rare_asks_for_attention_and_what_is_just_flagged_for_little(shop: Shop) -> None:
    (found,) = shop.hear(beyond=0.5)
    assert (found.severity, found.workload_state) == ("low", "ok")
    (graver,) = shop.hear(beyond=1.5, is_new=False)
    assert (graver.severity, graver.fingerprint, graver.count) == ("medium", found.fingerprint, 1)


def test_where_events_were_lost_it_stays_low(shop: Shop) -> None:
    lost = {"workload": 1, "instance": REPLICA, "kind": "ring_full", "place": "files", "count": 5}
    shop.replay.rows(8, losses=[lost], coverage=[row(observed_ns=WINDOW_NS, state="incomplete")])
    (found,) = shop.hear(beyond=30.0)
    assert (found.severity, found.workload_state) == ("low", "degraded")


def look(shop: Shop, instances: dict[int, Known | None], *, ended: bool, calls: int = 1) -> None:
    """Show a part of the window, of one call that *calls* were made of, or how it ended."""
    one = {"window": 8, "workload": 1, "instance": REPLICA, "phase": "steady"}
    live = Live(make_manifest(), lambda live, _: shop.anomalies.take(live, instances, (0, SECOND)))
    call = one | {"arch": "x86_64", "nr": 3, "name": "close", "calls": calls}
    live.append("syscalls", columns_of("syscalls", [call]))
    span = [{"window": 8, "start": 40 * SECOND, "end": 45 * SECOND}]
    if ended:
        live.append("coverage", columns_of("coverage", [row(window=8, observed_ns=WINDOW_NS)]))
        live.append("windows", columns_of("windows", span))
    live.flush()


def test_what_is_looked_at_very_often_adds_up_in_little_room(shop: Shop) -> None:
    known = shop.replay.watched.instances()
    for _ in range(500):
        look(shop, known, ended=False)
    assert len(shop.anomalies._rest._calls) < 64
    assert sum(map(len, shop.anomalies._rest._calls)) < 65
    look(shop, known, ended=True)
    piece = shop.last_piece()
    assert piece.calls["calls"].sum() == 501
    assert REPLICA in piece.observed


def test_who_gets_a_model_within_a_window_has_no_whole_one(shop: Shop) -> None:
    known = shop.replay.watched.instances()
    look(shop, dict.fromkeys(known), ended=False)
    look(shop, known, ended=True)
    piece = shop.last_piece()
    assert REPLICA in piece.models
    assert REPLICA not in piece.observed


def test_of_an_instance_that_nobody_knows_any_more_nothing_is_told(shop: Shop) -> None:
    assert shop.hear(instance=77) == []
    assert shop.hear(model=77) == []


def test_what_it_says_is_escaped(shop: Shop) -> None:
    (found,) = shop.hear(reasons=["a\nb\x1b[31m"], usual=["\r"], detectors=["x\0"])
    assert not set("\n\r\x1b\0") & set(found.line())
    assert "\\x0a" in found.evidence.observed


def test_how_models_stand_is_said(shop: Shop) -> None:
    assert shop.states() == ["loading"]
    shop.scorer.heard(Loaded(kind="loaded", model=1, seconds=5.0))
    shop.replay.rows(9)
    assert shop.states() == ["scoring"]
    shop.scorer.heard(Refused(kind="refused", model=1, reason="why\nnot"))
    shop.replay.rows(10)
    (model,) = shop.anomalies.status().models
    assert (model.state, model.reason) == ("refused", "why\\x0anot")


def test_a_model_of_much_shorter_windows_is_not_asked(shop: Shop) -> None:
    shop.scorer.heard(Loaded(kind="loaded", model=1, seconds=1.0))
    shop.replay.rows(9)
    (model,) = shop.anomalies.status().models
    assert model.state == "refused"
    assert model.reason == "its windows are of 1 s: `--window` is too long for them"


def test_a_model_without_a_threshold_starts_no_process(tmp_path: Path) -> None:
    shop = Shop(tmp_path, make_model("1/month", rows=20)[0])
    (model,) = shop.anomalies.status().models
    assert model.state == "insufficient"
    assert model.reason is not None
    assert "too short for a threshold that keeps 1/month: 2,591,900 s more" in model.reason
    assert (shop.anomalies.status().state, shop.scorer.pid) == ("idle", None)
    assert shop.scorer.next_piece() is None
    shop.anomalies.close()


def row(phase: str = "steady", **fields: Any) -> dict[str, Any]:
    return {"workload": 1, "instance": REPLICA, "phase": phase} | fields


def test_what_is_handed_over_is_the_steady_phase_of_whom_a_model_is_for(shop: Shop) -> None:
    shop.replay.rows(
        9,
        syscalls=[
            row(nr=3, calls=7),
            row("exec", nr=59, calls=1),
            row(nr=4, calls=1, workload=2, instance=3),
            row(nr=5, calls=9, window=4),
        ],
        ngrams=[row(gram=GRAM), row("startup", gram=GRAM)],
        coverage=[row(observed_ns=WINDOW_NS, state="complete")],
    )
    piece = shop.last_piece()
    assert piece.observed == {REPLICA: WINDOW_NS}
    assert piece.calls.tolist() == [(REPLICA, 3, 7.0)]
    assert piece.grams["gram"].tolist() == [[1] * 6]


def test_of_whom_something_was_lost_no_time_counts(shop: Shop) -> None:
    lossy = row(observed_ns=WINDOW_NS, state="incomplete")
    shop.replay.rows(9, syscalls=[row(nr=3, calls=7)], coverage=[lossy])
    assert shop.last_piece().observed == {}


def test_where_no_model_is_asked_looks_leave_nothing_behind() -> None:
    anomalies = Anomalies(Scorer(), window_s=5.0)
    live = Live(make_manifest(), lambda live, _: anomalies.take(live, {}, (0, SECOND)))
    windows = {"window": [1], "start": [0], "end": [SECOND]}
    tracemalloc.start()
    try:
        live.look(windows)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(300):
            live.look(windows)
        assert tracemalloc.get_traced_memory()[0] - before < 300 * 100
    finally:
        tracemalloc.stop()
        anomalies.close()


@pytest.fixture
def knowing(tmp_path: Path, reference: ModelReference) -> Iterator[Shop]:
    """The shop, whose model never saw more than two new sequences in a window."""
    assert reference.alerts is not None
    alerts = reference.alerts.model_copy(update={"most_new": 2})
    shop = Shop(tmp_path, reference.model_copy(update={"alerts": alerts}))
    shop.know()
    yield shop
    shop.anomalies.close()


def test_the_kernel_is_told_what_a_model_knows(knowing: Shop) -> None:
    known = knowing.anomalies.known_grams[REPLICA]
    assert (known.number, known.spared, known.bits) == (1, 2, MAP)
    knowing.scorer.heard(Refused(kind="refused", model=1, reason="gone"))
    knowing.replay.rows(10)
    knowing.replay.rows(11)
    assert knowing.anomalies.known_grams == {}


def test_where_new_sequences_are_not_told_by_number_the_kernel_is_told_nothing(shop: Shop) -> None:
    shop.scorer.heard(Loaded(kind="loaded", model=1, seconds=5.0))
    shop.replay.rows(9)
    shop.replay.rows(10)
    assert shop.states() == ["scoring"]
    assert shop.anomalies.known_grams == {}


def test_more_new_sequences_than_were_learnt_are_a_finding(knowing: Shop) -> None:
    assert knowing.sees(10, 2) == []
    (found,) = knowing.sees(11, 3)
    assert (found.layer, found.rule, found.severity) == ("anomaly", "anomaly-calls", "info")
    assert found.workload.name == CHECKOUT
    assert found.evidence.observed.startswith("read read read read read ptrace: new; ")
    assert found.reason == (
        "it makes 3 sequences of six calls in a window that were never learnt; no window had more "
        "than 2 that were new when it was"
    )
    assert (found.phase, found.count, found.evidence.p_value) == ("steady", 1, None)


def test_they_are_told_before_the_window_ends_and_their_windows_are_one_episode(
    knowing: Shop,
) -> None:
    (first,) = knowing.sees(10, 1, is_open=True)  # beyond those two that are spared
    assert "it makes more than 2 sequences" in first.reason
    assert knowing.sees(10, 3) == knowing.sees(11, 5) == []
    assert knowing.sees(12, 0) == knowing.sees(13, 9) == []
    knowing.replay.judge.findings.tell_again(10**18, is_last=True)
    assert (knowing.replay.findings[-1].fingerprint, knowing.replay.findings[-1].count) == (
        first.fingerprint,
        2,
    )


def test_what_the_model_says_of_the_same_time_is_the_same_finding(knowing: Shop) -> None:
    (early,) = knowing.sees(10, 4)
    at = START_NS + 10 * WINDOW_NS
    (told,) = knowing.hear(first_ns=at, last_ns=at + WINDOW_NS, beyond=0.1)
    assert (told.fingerprint, told.severity, told.count) == (early.fingerprint, "low", 1)
    assert told.evidence.p_value == 1e-6
    (other,) = knowing.hear(first_ns=at + 90 * SECOND, last_ns=at + 95 * SECOND)
    assert other.fingerprint != early.fingerprint


def test_longer_windows_may_have_more() -> None:
    many = [known_grams(1, MAP, most_new=3, window_s=s, model_s=5.0).spared for s in (1, 5, 7)]
    assert many == [3, 3, 5]


def test_calls_are_named_by_their_architecture() -> None:
    none_yet = 1023 << 50 | 1023 << 40
    native, compat = (0 << 10) | 1, 1 << 60 | 1
    assert names_of(none_yet | native) == "- - read read read write"
    assert names_of(none_yet | compat) == "- - restart_syscall restart_syscall restart_syscall exit"
    assert names_of(1022) == "read read read read read other"
