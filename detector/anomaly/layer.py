"""The layer `anomaly`: has models asked about what a watch sees, and makes sightings of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from detector.anomaly.pieces import Piece, Rest, Rows
from detector.anomaly.replies import Loaded, Refused, Reply, Scored, Strange
from detector.anomaly.scorer import Scorer, Wanted
from detector.anomaly.sums import TOO_LONG
from detector.library import Known
from detector.options import AnomalyStatus, ModelStatus
from detector.sighting import Sighting
from ethogram.contracts.escape import escape, printable
from ethogram.contracts.finding import Severity, WorkloadState

__all__ = ["Anomalies"]

RULE = "anomaly-calls"
TITLE = "Calls unlike those that were learnt"
_PIECE_NS = 100_000_000  # windows that are shorter, because something new ended them, go together
_RARE = 1.0
_TOLD = 3
_CLEAR: frozenset[WorkloadState] = frozenset({"ok"})
_States = Callable[[int], WorkloadState | None]


@dataclass(slots=True)
class _Model:
    """One model, by its number, and how it stands."""

    number: int
    wanted: Wanted
    status: ModelStatus


class Anomalies:
    """Has *scorer* ask the models of the baselines that apply. `close` in every case.

    A window of the watch is *window_s* long at most.
    """

    def __init__(self, scorer: Scorer, *, window_s: float) -> None:
        self._scorer = scorer
        self._window_s = window_s
        self._models: dict[tuple[str, str], _Model] = {}
        self._by_number: dict[int, _Model] = {}
        self._of: dict[int, tuple[Known, _Model | None]] = {}  # by the id of the baseline
        self._numbers = 0
        self._pieces = 0
        self._rest = Rest()
        self._waiting: Piece | None = None
        self._told: set[tuple[int, int]] = set()  # instances with a model of which an episode was
        self._scored = self._withheld = 0

    def start(self) -> None:
        """Begin to ask, once privileges are dropped."""
        self._scorer.start()

    def take(self, live: Rows, instances: Mapping[int, Known | None]) -> None:
        """Hand over what *live* shows of *instances* that have a model, once its window ended."""
        asked = self._asked(instances)
        if not live.window("windows").num_rows:
            if asked:
                self._rest.add(live, asked)
            self._rest.miss(instances.keys() - asked.keys())
            return
        self._told = {key for key in self._told if key[0] in asked}
        if not asked and self._waiting is None:
            self._pieces += 1  # what comes next does not follow what was there before
            self._rest = Rest()
            return
        piece = self._rest.piece(live, asked)
        piece = piece if self._waiting is None else self._waiting.joined(piece)
        if piece.ended_ns - piece.began_ns < _PIECE_NS:
            self._waiting = piece
            return
        self._waiting = None
        self._pieces += 1
        self._scorer.offer(piece.frame(self._pieces))

    def sightings(self, state_of: _States) -> Iterator[Sighting]:
        """Yield what was answered; *state_of* an instance is None where nobody knows it any more.

        Of one whose calls were not all seen nothing is told.
        """
        for reply in self._scorer.take():
            if not isinstance(reply, Strange):
                self._note(reply)
                continue
            model, state = self._by_number.get(reply.model), state_of(reply.instance)
            if model is not None and state is not None:
                key = (reply.instance, reply.model)
                is_new = reply.is_new or key not in self._told
                self._told.add(key)
                yield _sighting(reply, model, state, count=int(is_new))

    def settle(self, patience_s: float) -> None:
        """Wait at most so long for what is still to be answered."""
        self._scorer.settle(patience_s)

    def status(self) -> AnomalyStatus:
        """Return how models and their process stand."""
        scorer = self._scorer
        return AnomalyStatus(
            state=scorer.state,
            pid=scorer.pid,
            restarts=scorer.restarts,
            scored=self._scored,
            withheld=self._withheld,
            dropped=scorer.dropped,
            trouble=scorer.trouble,
            models=tuple(one.status for one in self._models.values()),
        )

    def close(self) -> None:
        """End the scorer."""
        self._scorer.close()

    # --- which models --------------------------------------------------------------------------

    def _asked(self, instances: Mapping[int, Known | None]) -> dict[int, int]:
        """Return the number of the model that is asked about each instance."""
        here: dict[int, tuple[Known, _Model | None]] = {}
        asked = {}
        for instance, known in instances.items():
            if known is None:
                continue
            found = here.get(id(known)) or self._of.get(id(known)) or (known, self._made(known))
            here[id(known)] = found
            if found[1] is not None and found[1].status.state in {"loading", "scoring"}:
                asked[instance] = found[1].number
        if here.keys() != self._of.keys():
            self._of = here
            self._forget()
        return asked

    def _made(self, known: Known) -> _Model | None:
        """Return the model beside *known*, as it was where it is the same; None without one."""
        reference = known.baseline.model
        if reference is None:
            return None
        key = (str(known.file), reference.model_dump_json())
        if (model := self._models.get(key)) is not None:
            return model
        self._numbers += 1
        alerts = reference.alerts
        status = ModelStatus(str(known.file), reference.file, "loading")
        if alerts is None or alerts.threshold is None:
            needs = alerts.needs_seconds if alerts else None
            status = _insufficient(status, alerts.budget if alerts else None, needs)
        self._models[key] = model = _Model(self._numbers, Wanted(known.file, reference), status)
        return model

    def _forget(self) -> None:
        """Let go of models whose baselines apply to nothing any more, and take new ones."""
        used = {model.number for _, model in self._of.values() if model is not None}
        self._models = {key: one for key, one in self._models.items() if one.number in used}
        self._by_number = {one.number: one for one in self._models.values()}
        self._scorer.want(
            {
                one.number: one.wanted
                for one in self._models.values()
                if one.status.state != "insufficient"
            }
        )

    def _note(self, reply: Reply) -> None:
        if isinstance(reply, Scored):
            self._scored += reply.windows
            self._withheld += reply.withheld
        elif isinstance(reply, Loaded | Refused) and (model := self._by_number.get(reply.model)):
            before = model.status
            if isinstance(reply, Refused):
                reason = printable(reply.reason)
                model.status = ModelStatus(before.baseline, before.model, "refused", reason)
            elif reply.kind == "insufficient":
                why = "fitted again by another version of scikit-learn, its sample is too short"
                model.status = ModelStatus(before.baseline, before.model, "insufficient", why)
            elif self._window_s > TOO_LONG * reply.seconds:
                why = f"its windows are of {reply.seconds:g} s: `--window` is too long for them"
                model.status = ModelStatus(before.baseline, before.model, "refused", why)
            else:
                model.status = ModelStatus(before.baseline, before.model, "scoring")


def _insufficient(
    before: ModelStatus, budget: str | None, needs_seconds: float | None
) -> ModelStatus:
    if budget is None:
        why = "the baseline has no alert budget for it"
    else:
        more = f": {needs_seconds:,.0f} s more of recordings are needed" if needs_seconds else ""
        why = f"what was learnt is too short for a threshold that keeps {budget}{more}"
    return ModelStatus(before.baseline, before.model, "insufficient", why)


# --- what is told ---------------------------------------------------------------------------------


def _sighting(
    reply: Strange, model: _Model, state: WorkloadState, *, count: int
) -> Sighting:  # fmt: skip
    reference = model.wanted.reference
    budget = reference.alerts.budget if reference.alerts else "its budget"
    names = [escape(name) for name in reply.detectors[:_TOLD]]
    by = f"; {' and '.join(names)} find it strangest" if names else ""
    chance = f", p-value {reply.p_value:.1g}" if reply.p_value is not None else ""
    reasons = [escape(reason) for reason in reply.reasons]
    return Sighting(
        layer="anomaly",
        rule=RULE,
        title=TITLE,
        reason=f"its calls in {reply.seconds:g} s are stranger than the threshold that keeps "
        f"{budget}{chance}{by}",
        severity=_severity(reply, state),
        attack=(),
        instance=reply.instance,
        phase="steady",
        dimension="syscalls",
        observed="; ".join(reasons) or "calls out of their usual proportions",
        exe=None,
        exec_id=None,
        first_ns=reply.first_ns,
        last_ns=reply.last_ns,
        count=count,
        identity=f"{reference.sha256} {escape(reply.about)}",
        p_value=reply.p_value,
        expected=tuple(escape(usual) for usual in reply.usual[:_TOLD]),
        is_timed=False,  # it is of a whole window of the model, told when that was scored
    )


def _severity(reply: Strange, state: WorkloadState) -> Severity:
    """Return medium for what is ten times rarer than what is just flagged, else low.

    At the threshold the budget's episodes are expected of a workload that does nothing new. What a
    baseline is too thin for, or another image does, may be strange and normal.
    """
    return "medium" if reply.beyond >= _RARE and state in _CLEAR else "low"
