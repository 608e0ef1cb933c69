"""The model beside a baseline: fitted, saved, loaded, refused, fitted again."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
from sklearn.decomposition import PCA

from ethogram.contracts.baseline import ModelReference
from ethogram.contracts.recording import Recording
from ethogram.errors import BaselineError, UsageError
from learner import model_file
from learner.alerts import MIN_WINDOWS, held_out_blocks, time_folds
from learner.anomaly import AnomalyModel, attach_model, fit_model, load_model
from learner.detectors.registry import detectors
from learner.ensemble import DEFAULT_ALONE, DEFAULT_COUNTS, DEFAULT_GRAMS
from learner.features import feature_frame
from learner.grams import GramWindows
from learner.identity import identity_of_subject
from learner.learn import learn
from learner.summary import summarize
from learner.windows import SteadyWindows, steady_windows
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

CALLS = np.array([0, 1, 3, 232], np.int32)  # read, write, close, epoll_wait
SHARES = np.array([0.4, 0.2, 0.2, 0.2])


def steady(rows: int = 60, *, seed: int = 3, instance: str = "a") -> SteadyWindows:
    """Return windows of a service: calls that rise and fall together, in one of two orders."""
    random = np.random.default_rng(seed)
    load = random.gamma(20, 5, rows)
    counts = np.round(load[:, None] * SHARES * random.normal(1, 0.03, (rows, len(SHARES))))
    orders = ([232, 0, 1, 3], [232, 0, 0, 1, 3])
    traces = [np.concatenate([orders[each] for each in random.integers(0, 2, 12)])
              for _ in range(rows)]  # fmt: skip
    index = pd.DataFrame(
        {
            "recording_id": "r",
            "instance_key": instance,
            "window": np.arange(rows),
            "start_ns": np.arange(rows) * 5_000_000_000,
            "seconds": 5.0,
        }
    )
    return SteadyWindows(index, CALLS, counts, GramWindows.of_calls(traces))


def changed(windows: SteadyWindows, call: int, count: float) -> SteadyWindows:
    """Return *windows* with *count* of *call*, which they may never have made."""
    calls = np.union1d(windows.calls, [call]).astype(np.int32)
    counts = windows.counts_of(calls)[:, :-1]
    counts[:, np.searchsorted(calls, call)] = count
    return SteadyWindows(windows.index, calls, counts, windows.grams)


def dumped(rows: int = 60) -> bytes:
    return fit_model(steady(rows))[1]


def reference(data: bytes, **more: Any) -> ModelReference:
    return ModelReference(
        file="x.skops",
        sha256=hashlib.sha256(data).hexdigest(),
        **{"sklearn": sklearn.__version__} | more,
    )


def refusal(data: bytes) -> str:
    with pytest.raises(BaselineError) as caught:
        load_model(data, reference(data))
    assert "x.skops" in caught.value.message
    assert caught.value.hint
    return caught.value.message


@pytest.fixture(scope="module")
def saved() -> bytes:
    return dumped()


@pytest.fixture(scope="module")
def model(saved: bytes) -> AnomalyModel:
    return load_model(saved, reference(saved))


def test_without_sequences_the_model_is_of_counts() -> None:
    def bare(seed: int) -> SteadyWindows:
        windows = steady(seed=seed)
        nothing = GramWindows.of_calls([np.empty(0, np.int32)] * len(windows))
        return SteadyWindows(windows.index, windows.calls, windows.counts, nothing)

    fitted, data = fit_model(bare(3))
    loaded = load_model(data, reference(data))
    assert tuple(sorted(loaded.ensemble.calibrations)) == DEFAULT_ALONE
    np.testing.assert_array_equal(loaded.score(bare(4)), fitted.score(bare(4)))
    strange = changed(bare(4), 101, 1)  # ptrace
    assert loaded.score(strange).max() < np.median(loaded.score(bare(4)))


def test_what_was_saved_scores_as_what_was_fitted(model: AnomalyModel) -> None:
    fitted, _ = fit_model(steady())
    np.testing.assert_array_equal(model.score(steady(seed=4)), fitted.score(steady(seed=4)))


def test_strange_windows_score_lower_than_normal_ones(model: AnomalyModel) -> None:
    normal = model.score(steady(seed=4))
    strange = model.score(changed(steady(seed=6), 3, 4000.0))
    assert strange.max() < np.median(normal)


def test_a_call_that_was_never_made_is_strange(model: AnomalyModel) -> None:
    other = steady(seed=4)
    assert (model.score(changed(other, 101, 50.0)) < model.score(other)).all()


def test_an_order_that_was_never_seen_is_strange(model: AnomalyModel) -> None:
    other = steady(20, seed=4)
    grams = GramWindows.of_calls([np.array([232, 3, 1, 0] * 12)] * 20)
    turned = SteadyWindows(other.index, other.calls, other.counts, grams)
    assert (model.score(turned) < model.score(other)).all()


def test_a_call_that_is_gone_counts_as_none(model: AnomalyModel) -> None:
    other = steady(seed=4)
    gone = SteadyWindows(other.index, other.calls[1:], other.counts[:, 1:], other.grams)
    assert model.score(gone).mean() < model.score(other).mean()


def test_without_sequences_there_is_a_model_of_counts() -> None:
    some = steady(40)
    none = GramWindows(np.zeros(41, np.int64), np.empty(0, np.int64), np.empty((0, 6), np.int32))
    counts = SteadyWindows(some.index, some.calls, some.counts, none)
    data = fit_model(counts)[1]
    model = load_model(data, reference(data))
    assert set(model.ensemble.fitted.detectors) == set(DEFAULT_ALONE)
    assert (model.score(changed(counts, 101, 9.0)) < model.score(counts)).all()
    again = load_model(data, reference(data, sklearn="0.24.2"))
    np.testing.assert_allclose(again.score(counts), model.score(counts))


def test_a_window_is_scored_alone(model: AnomalyModel) -> None:
    other = steady(10, seed=4)
    alone = [model.score(other.take(np.array([row])))[0] for row in range(10)]
    np.testing.assert_allclose(model.score(other), alone)


def test_equal_windows_give_equal_bytes(saved: bytes) -> None:
    assert dumped() == saved


def test_windows_that_never_change_can_be_learnt() -> None:
    some = steady(20)
    same = SteadyWindows(some.index, CALLS, np.tile([5.0, 0, 0, 1], (20, 1)), some.grams)
    data = fit_model(same)[1]
    model = load_model(data, reference(data))
    assert np.isfinite(model.score(same)).all()
    assert model.score(changed(same, 0, 500.0)).max() < model.score(same).min()


def test_too_few_windows_give_no_model() -> None:
    with pytest.raises(BaselineError, match="too few"):
        fit_model(steady(MIN_WINDOWS - 1))


def test_folds_are_stretches_of_time_whichever_the_instance() -> None:
    windows = steady(50)
    folds = time_folds(windows)
    assert np.unique(folds).tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(folds) >= 0).all()
    together = SteadyWindows(windows.index.assign(start_ns=7), CALLS, windows.counts, windows.grams)
    assert len(np.unique(time_folds(together))) == 5


def test_windows_that_follow_each_other_make_a_block() -> None:
    windows = steady(10)
    index = windows.index.assign(
        instance_key=["b"] * 4 + ["a"] * 6, window=[3, 2, 1, 9, 0, 1, 2, 3, 7, 8]
    )
    windows = SteadyWindows(index, CALLS, windows.counts, windows.grams)
    blocks = held_out_blocks(windows, np.arange(10.0))
    assert [block.tolist() for block in blocks] == [[4, 5, 6, 7], [8, 9], [2, 1, 0], [3]]


def test_another_version_of_scikit_learn_fits_the_sample_again(saved: bytes) -> None:
    other = load_model(saved, reference(saved, sklearn="0.24.2"))
    same = load_model(saved, reference(saved))
    # All windows are in the sample here.
    np.testing.assert_allclose(other.score(steady(seed=4)), same.score(steady(seed=4)))


def test_a_model_without_a_sample_is_refused_where_it_does_not_fit(saved: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    without = archived({name: part for name, part in parts.items() if "parquet" not in name})
    with pytest.raises(BaselineError, match="no sample"):
        load_model(without, reference(without, sklearn="0.24.2"))
    junk = archived(parts | {"sample.parquet": b"PAR1 junk PAR1"})
    with pytest.raises(BaselineError, match="cannot be read"):
        load_model(junk, reference(junk, sklearn="0.24.2"))


def test_a_fresh_process_loads_it(saved: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.skops").write_bytes(saved)
    code = (
        "import sys, pathlib, json; from learner.anomaly import load_model;"
        "from ethogram.contracts.baseline import ModelReference;"
        "m = load_model(pathlib.Path(sys.argv[1]).read_bytes(), "
        "ModelReference.model_validate_json(sys.argv[2]));"
        "print(sorted(m.ensemble.fitted.detectors))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.skops", reference(saved).model_dump_json()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{sorted((*DEFAULT_COUNTS, *DEFAULT_GRAMS))}\n"


def test_the_default_ensemble_may_be_loaded() -> None:
    known = {f"{each.__module__}.{each.__name__}": name for name, each in detectors().items()}
    listed = {known[name] for name in model_file.ESTIMATORS}
    assert {*DEFAULT_ALONE, *DEFAULT_COUNTS, *DEFAULT_GRAMS} <= listed


def test_a_model_of_another_type_is_refused_by_name() -> None:
    foreign = skops.io.dumps(
        {"format": "ethogram.model/2", "detectors": {"a": PCA().fit(np.eye(3))}}
    )
    assert "sklearn.decomposition._pca.PCA" in refusal(foreign)


def archived(parts: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return whole.getvalue()


def rewritten(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(parts["schema.json"])
    change(schema)
    return archived(parts | {"schema.json": json.dumps(schema).encode()})


def test_a_model_that_would_call_a_function_is_refused_by_name() -> None:
    def call_system(schema: dict[str, Any]) -> None:
        schema["content"]["format"] = {
            "__class__": "system", "__module__": "os", "__loader__": "FunctionNode",
            "content": {"module_path": "os", "function": "system"}, "__id__": 99,
        }  # fmt: skip

    assert "os.system" in refusal(rewritten(dumped(), call_system))


def test_a_trusted_type_under_another_loader_is_refused() -> None:
    def reload(schema: dict[str, Any]) -> None:
        schema["content"]["detectors"]["content"]["gram-cover"]["__loader__"] = "ReduceNode"

    assert "ReduceNode" in refusal(rewritten(dumped(), reload))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip", b"\x80\x04pickle."])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    refusal(data)


def test_a_truncated_model_is_refused() -> None:
    data = dumped()
    for size in (len(data) // 2, len(data) - 30):
        refusal(data[:size])


def test_a_model_that_the_baseline_does_not_name_is_refused() -> None:
    data = dumped()
    with pytest.raises(BaselineError, match="sha256 differs"):
        load_model(data, reference(b"another"))


def test_features_are_calls_in_a_window_and_grams_seen(tmp_path: Path) -> None:
    recording = Recording.open(shop_recording(tmp_path / "r"))
    windows = steady_windows([recording])
    checkout, loadgen = map(feature_frame, windows.values())
    assert checkout.shape[0] == 12
    assert loadgen.shape[0] == 6
    assert set(checkout["call/x86_64/accept4"]) == {40.0}  # in 5 s
    grams = checkout.loc[:, checkout.columns.str.startswith("gram/")]
    assert grams.shape[1]
    assert set(grams.to_numpy().ravel()) == {1.0}
    assert list(checkout.columns) == sorted(checkout.columns)
    few = [feature_frame(each, grams=2) for each in windows.values()]
    assert all(frame.columns.str.startswith("gram/").sum() == 2 for frame in few)


def test_a_model_goes_beside_its_baseline(tmp_path: Path) -> None:
    recording = Recording.open(shop_recording(tmp_path / "r"))
    windows = steady_windows([recording])
    models = {}
    for baseline in learn(summarize(recording)):
        mine = windows[identity_of_subject(baseline.subject)]
        models[baseline.subject.name] = attach_model(baseline, mine, file="a.skops")
    with_model, data = models["checkout"]
    assert data is not None
    assert with_model.model is not None
    assert with_model.model.file == "a.skops"
    assert with_model.model.windows == 12
    assert with_model.model.alerts is not None
    assert with_model.model.alerts.state == "insufficient"
    assert with_model.model.alerts.needs_seconds == pytest.approx(604_800, rel=0.01)
    assert load_model(data, with_model.model).threshold is None
    assert models["loadgen"][1] is None
    assert models["loadgen"][0].model is None


def test_a_budget_that_time_allows_has_a_threshold(tmp_path: Path) -> None:
    baseline = learn(summarize(Recording.open(shop_recording(tmp_path / "r"))))[0]
    windows = steady(200)
    with_model, data = attach_model(baseline, windows, file="a.skops", budget="20/hour")
    assert data is not None
    assert with_model.model is not None
    alerts = with_model.model.alerts
    assert alerts is not None
    assert alerts.state == "ready"
    assert alerts.expected is not None
    assert alerts.expected <= 20
    model = load_model(data, with_model.model)
    assert model.threshold == alerts.threshold
    assert (model.score(changed(steady(9, seed=5), 101, 500.0)) < alerts.threshold).all()


def test_what_is_no_budget_is_refused(tmp_path: Path) -> None:
    baseline = learn(summarize(Recording.open(shop_recording(tmp_path / "r"))))[0]
    with pytest.raises(UsageError, match="no alert budget"):
        attach_model(baseline, steady(), file="a.skops", budget="now and then")


def test_learning_an_allowlist_does_not_load_scikit_learn() -> None:
    code = (
        "import sys, learner.learn, learner.summary, learner.coverage, "
        "learner.anomaly; print([m for m in ('sklearn', 'skops', 'scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
