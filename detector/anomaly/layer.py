"""The layer `anomaly`: has models asked about what a watch sees, and makes sightings of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from detector.anomaly.new_sequences import Found, NewSequences, known_grams
from detector.anomaly.pieces import Piece, Rest, Rows
from detector.anomaly.replies import Loaded, Refused, Reply, Scored, Strange
from detector.anomaly.scorer import Scorer, Wanted
from detector.anomaly.sightings import sighting_of, sighting_of_new
from detector.anomaly.sums import TOO_LONG
from detector.library import Known
from detector.options import AnomalyStatus, ModelStatus
from detector.sighting import Sighting
from ethogram.contracts.escape import printable
from ethogram.contracts.finding import WorkloadState
from profiler.loaders.base import KnownGrams

__all__ = ["Anomalies"]

_PIECE_NS = 100_000_000  # windows that are shorter, because something new ended them, go together
_States = Callable[[int], WorkloadState | None]


@dataclass(slots=True)
class _Model:
    """One model, by its number, and how it stands."""

    number: int
    wanted: Wanted
    status: ModelStatus
    known: KnownGrams | None = None


class Anomalies:
    """Has *scorer* ask the models of the baselines that apply. `close` in every case.

    A window of the watch is *window_s* long at most. *new_grams* says of what was just handed on
    which sequences models do not know, by instance, where the kernel was told `known_grams`.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        window_s: float,
        new_grams: Callable[[], Mapping[int, np.ndarray]] = dict,
    ) -> None:
        self._scorer = scorer
        self._new_grams = new_grams
        self._new = NewSequences()
        self._found: list[Found] = []
        self.known_grams: dict[int, KnownGrams] = {}  # by instance
        self._window_s = window_s
        self._models: dict[tuple[str, str], _Model] = {}
        self._by_number: dict[int, _Model] = {}
        self._of: dict[int, tuple[Known, _Model | None]] = {}  # by the id of the baseline
        self._numbers = 0
        self._pieces = 0
        self._rest = Rest()
        self._waiting: Piece | None = None
        self._told: set[tuple[int, int]] = set()  # instances with a model of which an episode was
        # And of which its new sequences were before, and what they were about.
        self._early: dict[tuple[int, int], str] = {}
        self._scored = self._withheld = 0

    def start(self) -> None:
        """Begin to ask, once privileges are dropped."""
        self._scorer.start()

    def take(
        self, live: Rows, instances: Mapping[int, Known | None], span: tuple[int, int]
    ) -> None:
        """Hand over what *live* shows of *instances* that have a model, once its window ended.

        *span*: when it began, and has ended or has come to, UTC.
        """
        asked = self._asked(instances)
        has_ended = live.window("windows").num_rows > 0
        self._found += self._new.take(self._new_grams(), self.known_grams, span, is_end=has_ended)
        self.known_grams = self._known(asked)
        if not has_ended:
            if asked:
                self._rest.add(live, asked)
            self._rest.miss(instances.keys() - asked.keys())
            return
        self._told = {key for key in self._told if key[0] in asked}
        self._early = {key: one for key, one in self._early.items() if key in self._told}
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
        found, self._found = self._found, []
        for one in found:
            model = self._by_number.get(one.model)
            if model is not None and state_of(one.instance) is not None:
                yield sighting_of_new(one, model.wanted.reference)
        for reply in self._scorer.take():
            if not isinstance(reply, Strange):
                self._note(reply)
                continue
            model, state = self._by_number.get(reply.model), state_of(reply.instance)
            if model is not None and state is not None:
                key = (reply.instance, reply.model)
                is_new = reply.is_new or key not in self._told
                self._told.add(key)
                if is_new:
                    self._note_about(reply)
                about = self._early.get(key, reply.about)
                count = int(is_new and key not in self._early)
                yield sighting_of(reply, model.wanted.reference, state, about=about, count=count)

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

    def _note_about(self, reply: Strange) -> None:
        """Take note whether an episode is one of whose new sequences was told already."""
        key = (reply.instance, reply.model)
        self._early.pop(key, None)
        about = self._new.about(*key, reply.first_ns, reply.last_ns)
        if about is not None:
            self._early[key] = about

    def _known(self, asked: Mapping[int, int]) -> dict[int, KnownGrams]:
        """Return what the models of the instances in *asked* know."""
        known = ((instance, self._by_number[number].known) for instance, number in asked.items())
        return {instance: one for instance, one in known if one is not None}

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
                model.known = self._map_of(model, reply)

    def _map_of(self, model: _Model, reply: Loaded) -> KnownGrams | None:
        alerts = model.wanted.reference.alerts
        if reply.known is None or alerts is None or alerts.most_new is None:
            return None
        if model.known is not None:
            return model.known  # of the scorer before: a digest has one map
        return known_grams(
            model.number, reply.known,
            most_new=alerts.most_new, window_s=self._window_s, model_s=reply.seconds,
        )  # fmt: skip


def _insufficient(
    before: ModelStatus, budget: str | None, needs_seconds: float | None
) -> ModelStatus:
    if budget is None:
        why = "the baseline has no alert budget for it"
    else:
        more = f": {needs_seconds:,.0f} s more of recordings are needed" if needs_seconds else ""
        why = f"what was learnt is too short for a threshold that keeps {budget}{more}"
    return ModelStatus(before.baseline, before.model, "insufficient", why)
