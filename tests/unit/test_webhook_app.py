"""The HTTP of the webhook: every answer whole, whatever comes in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detector.sinks.outbox import Outbox
from detector.sinks.protocol import Sender
from ethogram.webhook import app
from ethogram.webhook.app import LIMIT_BYTES, Webhook
from ethogram.webhook.findings import Tellings
from ethogram.webhook.metrics import Counts
from ethogram.webhook.policy import Policy
from ethogram.webhook.requests import read_review
from ethogram.webhook.telling import Teller
from tests.asgi import post
from tests.reviews import TODAY, UID, decide, make_policy, make_review, simple_pod

pytestmark = pytest.mark.unit

PRIVILEGED = simple_pod(context={"privileged": True})


def make_webhook(**fields: Any) -> Webhook:
    return Webhook(make_policy(**fields), Counts(), lambda: TODAY)


def asked(pod: Any = PRIVILEGED, **request: Any) -> bytes:
    return json.dumps(make_review(pod, **request)).encode()


def samples(webhook: Webhook) -> dict[str, float]:
    lines = webhook.counts.exposition().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line.startswith("ethogram_"))
    return {name: float(value) for name, _, value in pairs}


def test_an_answer_is_a_review_of_the_same_id() -> None:
    webhook = make_webhook()
    answered = post(webhook, asked())
    assert answered.status == 200
    assert answered.headers["content-type"] == "application/json"
    assert answered.json["kind"] == "AdmissionReview"
    assert answered.json["apiVersion"] == "admission.k8s.io/v1"
    assert answered.json["response"]["uid"] == UID
    assert answered.json["response"]["allowed"] is False
    found = samples(webhook)
    labels = 'dry_run="false",mode="enforce",outcome="denied",resource="pods"'
    assert found[f"ethogram_admission_reviews_total{{{labels}}}"] == 1
    assert found['ethogram_admission_breaches_total{action="enforce",rule="privileged"}'] == 1
    assert found["ethogram_admission_seconds_count"] == 1


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/validate/audit", True), ("/validate/warn", True), ("/validate/enforce", False)],
)
def test_the_path_says_the_mode(path: str, allowed: bool) -> None:
    answered = post(make_webhook(mode="off"), asked(), path=path)
    assert answered.json["response"]["allowed"] is allowed


def test_a_mode_that_there_is_not_is_not_found() -> None:
    assert post(make_webhook(), asked(), path="/validate/deny").status == 404
    assert post(make_webhook(), asked(), path="/else").status == 404
    assert post(make_webhook(), b"", method="GET").status == 405


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {"content-type": "application/json"}, 400),
        (b"{", {"content-type": "application/json"}, 400),
        (b"[" * 200_000, {"content-type": "application/json"}, 400),
        (b"{}", {"content-type": "application/json; charset=utf-8"}, 400),
        (b"{}", {"content-type": "application/yaml"}, 415),
        (b"{}", {}, 415),
        (b"{}", {"content-type": "application/json", "content-encoding": "gzip"}, 415),
        (b"x", {"content-type": "application/json", "content-length": "9" * 30}, 413),
        ([b"x" * (1 << 20)] * 9, {"content-type": "application/json"}, 413),
    ],
)
def test_what_is_no_review_gets_an_error_of_http(
    content: Any, headers: dict[str, str], status: int
) -> None:
    webhook = make_webhook()
    answered = post(webhook, content, headers=headers)
    assert answered.status == status
    assert answered.json["code"] == status
    assert answered.json["kind"] == "Status"
    assert answered.headers["connection"] == "close"
    assert webhook.counts.bad.total() == 1
    assert webhook.held_bytes == 0


def test_nonsense_with_an_id_is_refused_with_that_id() -> None:
    answered = post(make_webhook(), asked(operation="PATCH"))
    assert answered.status == 200
    assert answered.json["response"]["uid"] == UID
    assert answered.json["response"]["allowed"] is False
    assert answered.json["response"]["status"]["code"] == 400


def test_a_pod_of_3_megabytes_is_judged() -> None:
    pod = simple_pod(context={"privileged": True})
    pod["metadata"]["annotations"] = {"a": "x" * 3_000_000}
    answered = post(make_webhook(), asked(pod, old=simple_pod()))
    assert answered.json["response"]["allowed"] is False


def test_an_object_that_is_nested_deeply_is_answered() -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    content = asked(simple_pod(volumes="DEEP")).replace(b'"DEEP"', deep)
    answered = post(make_webhook(), content)
    assert answered.status == 200
    assert answered.json["response"]["allowed"] is False


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PATIENCE_S", 0.01)
    webhook = make_webhook()
    assert post(webhook, b'{"kind":', ends="silent").status == 408
    assert post(webhook, b'{"kind":', ends="gone").status == 400
    assert webhook.held_bytes == 0
    assert dict(webhook.counts.bad) == {"slow": 1, "disconnected": 1}


def test_no_more_is_read_at_once_than_there_is_room_for() -> None:
    webhook = make_webhook()
    webhook.held_bytes = 64 << 20
    assert post(webhook, asked()).status == 503
    assert webhook.held_bytes == 64 << 20


def test_a_mistake_of_ours_ends_one_request_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("ours")

    webhook = make_webhook()
    with monkeypatch.context() as patch:
        patch.setattr(Policy, "level", fails)
        answered = post(webhook, asked())
    assert answered.status == 500
    assert b"ours" not in answered.body
    assert post(webhook, asked()).status == 200


def test_a_mutation_is_off_until_it_is_asked_for() -> None:
    webhook = make_webhook()
    assert "patch" not in post(webhook, asked(simple_pod()), path="/mutate").json["response"]
    webhook.confirmed = frozenset()
    response = post(webhook, asked(simple_pod()), path="/mutate").json["response"]
    assert response["patchType"] == "JSONPatch"
    assert dict(webhook.counts.patches) == {"none": 1, "default": 1}


def test_the_probes_say_when_it_leaves() -> None:
    webhook = make_webhook()
    assert post(webhook, b"", path="/readyz", method="GET").status == 200
    webhook.is_leaving = True
    assert post(webhook, b"", path="/readyz", method="GET").status == 503
    assert post(webhook, b"", path="/healthz", method="GET").status == 200


def test_the_limit_leaves_room_for_both_objects_of_a_change() -> None:
    assert LIMIT_BYTES > 2 * 3_145_728


# --- what sinks get -------------------------------------------------------------------------------


def telling(clock: list[float]) -> Tellings:
    return Tellings(lambda: clock[-1], lambda: datetime(2026, 11, 23, 6, tzinfo=UTC))


def told(tellings: Tellings, pod: Any, **request: Any) -> list[Any]:
    return list(tellings.take(read_review(asked(pod, **request)), decide(pod)))


def test_a_decision_is_told_once_a_minute_with_its_count() -> None:
    clock = [0.0]
    tellings = telling(clock)
    first, = told(tellings, PRIVILEGED)  # fmt: skip
    assert (first.rule, first.severity, first.count) == ("admission-privileged", "medium", 1)
    assert first.layer == "indicator"
    assert json.loads(first.line())["workload"]["name"] == "app"
    assert told(tellings, PRIVILEGED) == []
    clock.append(61.0)
    again, = told(tellings, PRIVILEGED)  # fmt: skip
    assert (again.count, again.fingerprint) == (3, first.fingerprint)


def test_no_more_waits_to_be_told_than_there_is_room_for(tmp_path: Path) -> None:
    clock, counts = [0.0], Counts()
    outbox = Outbox(
        [f"file:{tmp_path}/findings.jsonl"], sender=Sender("h", "1", 1, None),
        root=tmp_path / "spool", patience_s=5.0,
    )  # fmt: skip
    teller = Teller(outbox, telling(clock), counts)  # which nobody started: a disk that hangs
    request = read_review(asked(PRIVILEGED))
    for _ in range(10):
        teller.take(request, decide(PRIVILEGED), size_bytes=4 << 20)
    assert counts.untold == 5
    teller.start()
    teller.close()
    assert counts.told == 1


def test_nobody_is_told_of_a_dry_run() -> None:
    assert told(telling([0.0]), PRIVILEGED, dryRun=True) == []
    webhook = make_webhook()
    post(webhook, asked(dryRun=True))
    labels = 'dry_run="true",mode="enforce",outcome="denied",resource="pods"'
    assert samples(webhook)[f"ethogram_admission_reviews_total{{{labels}}}"] == 1
