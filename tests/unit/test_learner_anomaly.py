"""Features of windows, and the model that is fitted on them."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.decomposition import PCA

from ethogram.contracts.baseline import ModelReference
from ethogram.contracts.recording import Recording
from ethogram.errors import BaselineError
from learner.anomaly import MIN_WINDOWS, attach_model, fit_model, load_model
from learner.features import feature_frames
from learner.identity import identity_of_subject
from learner.learn import learn
from learner.summary import summarize
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit


def steady(rows: int = 60, *, seed: int = 3) -> pd.DataFrame:
    """Return windows of a service: calls that rise and fall together, and some noise."""
    random = np.random.default_rng(seed)
    load = random.gamma(20, 5, rows)
    columns = {
        f"call/x86_64/{name}": load * share * random.normal(1, 0.03, rows)
        for name, share in (("read", 2.0), ("write", 1.0), ("epoll_wait", 0.5), ("close", 0.9))
    }
    return pd.DataFrame(columns)


def reference(data: bytes) -> ModelReference:
    return ModelReference(file="x.skops", sha256=hashlib.sha256(data).hexdigest(), sklearn="1")


def refusal(data: bytes) -> str:
    with pytest.raises(BaselineError) as caught:
        load_model(data, reference(data))
    assert "x.skops" in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_strange_windows_score_lower_than_normal_ones() -> None:
    data = fit_model(steady())
    model = load_model(data, reference(data))
    normal = model.score(steady(seed=4))
    busy = steady(seed=5) * 1.5
    strange = steady(seed=6).assign(**{"call/x86_64/close": 4000.0})
    assert normal.median() > -3
    assert model.score(busy).median() > model.score(strange).median()
    assert model.score(strange).max() < normal.min()


def test_order_of_columns_and_unknown_features_do_not_matter() -> None:
    data = fit_model(steady())
    model = load_model(data, reference(data))
    other = steady(seed=4)
    shuffled = other[list(reversed(other.columns))].assign(**{"call/x86_64/ptrace": 1.0})
    pd.testing.assert_series_equal(model.score(shuffled), model.score(other))


def test_a_feature_that_is_gone_counts_as_none() -> None:
    data = fit_model(steady())
    model = load_model(data, reference(data))
    gone = steady(seed=4).drop(columns="call/x86_64/read")
    assert model.score(gone).max() < model.score(steady(seed=4)).min()


def test_equal_windows_give_equal_bytes() -> None:
    assert fit_model(steady()) == fit_model(steady())


def test_windows_that_never_change_can_be_learnt() -> None:
    frame = pd.DataFrame({"call/x86_64/read": [5.0] * 20, "call/x86_64/write": [0.0] * 20})
    data = fit_model(frame)
    model = load_model(data, reference(data))
    assert model.score(frame).min() == pytest.approx(0)
    assert model.score(frame * 100).max() < -1


def test_too_few_windows_give_no_model() -> None:
    with pytest.raises(BaselineError, match="too few"):
        fit_model(steady(MIN_WINDOWS - 1))


def test_a_model_of_another_type_is_refused_by_name() -> None:
    foreign = skops.io.dumps(
        {"format": "ethogram.model/1", "features": ["a"], "estimator": PCA().fit(np.eye(3))}
    )
    assert "sklearn.decomposition._pca.PCA" in refusal(foreign)


def rewritten(data: bytes, change: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(parts["schema.json"])
    change(schema)
    parts["schema.json"] = json.dumps(schema).encode()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return whole.getvalue()


def test_a_model_that_would_call_a_function_is_refused_by_name() -> None:
    def call_system(schema: dict[str, Any]) -> None:
        schema["content"]["format"] = {
            "__class__": "system", "__module__": "os", "__loader__": "FunctionNode",
            "content": {"module_path": "os", "function": "system"}, "__id__": 99,
        }  # fmt: skip

    assert "os.system" in refusal(rewritten(fit_model(steady()), call_system))


def test_a_trusted_type_under_another_loader_is_refused() -> None:
    def reload(schema: dict[str, Any]) -> None:
        schema["content"]["estimator"]["__loader__"] = "ReduceNode"

    assert "ReduceNode" in refusal(rewritten(fit_model(steady()), reload))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip", b"\x80\x04pickle."])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    refusal(data)


def test_a_truncated_model_is_refused() -> None:
    data = fit_model(steady())
    for size in (len(data) // 2, len(data) - 30):
        refusal(data[:size])


def test_a_model_that_the_baseline_does_not_name_is_refused() -> None:
    data = fit_model(steady())
    with pytest.raises(BaselineError, match="sha256 differs"):
        load_model(data, reference(b"another"))


def test_features_are_calls_a_second_and_grams_seen(tmp_path: Path) -> None:
    recording = Recording.open(shop_recording(tmp_path / "r"))
    frames = feature_frames([recording])
    (checkout, loadgen) = frames.values()
    assert checkout.shape[0] == 12
    assert loadgen.shape[0] == 6
    assert set(checkout["call/x86_64/accept4"]) == {8.0}
    grams = checkout.loc[:, checkout.columns.str.startswith("gram/")]
    assert grams.shape[1]
    assert set(grams.to_numpy().ravel()) == {1.0}
    assert list(checkout.columns) == sorted(checkout.columns)
    few = feature_frames([recording], grams=2)
    assert all(frame.columns.str.startswith("gram/").sum() == 2 for frame in few.values())


def test_a_model_goes_beside_its_baseline(tmp_path: Path) -> None:
    recording = Recording.open(shop_recording(tmp_path / "r"))
    frames = feature_frames([recording])
    models = {}
    for baseline in learn(summarize(recording)):
        frame = frames[identity_of_subject(baseline.subject)]
        models[baseline.subject.name] = attach_model(baseline, frame, file="a.skops")
    with_model, data = models["checkout"]
    assert data is not None
    assert with_model.model is not None
    assert with_model.model.file == "a.skops"
    assert load_model(data, with_model.model).features
    assert models["loadgen"][1] is None
    assert models["loadgen"][0].model is None


def test_learning_an_allowlist_does_not_load_scikit_learn() -> None:
    code = (
        "import sys, learner.learn, learner.summary, learner.coverage, learner.features, "
        "learner.anomaly; print([m for m in ('sklearn', 'skops', 'scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
