"""What new images show beyond their baselines: one finding for each, with all of it.

A new version opens new files, makes new calls and talks to new peers: dozens of small deviations
that have one cause. What is grave is told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from detector.deviations import Deviation
from detector.grading import ROLLOUT_REASON, Grade
from detector.sighting import Sighting
from ethogram.contracts.baseline import AnyValue, Dimension
from ethogram.contracts.escape import escape
from ethogram.indicators.compliance import BY_DIMENSION
from ethogram.indicators.protocol import Technique

__all__ = ["RULE", "Rollouts"]

RULE = "rollout"
_IMAGES = 1_000
_VALUES = 2_000  # of one image: beyond them it says that there are more
_ALL_VALUES = 20_000  # of all images; a value takes about a kilobyte
_TECHNIQUES = 16
_DIGITS = 12


@dataclass(slots=True)
class _Image:
    """What one new image has shown so far."""

    values: dict[Dimension, dict[AnyValue, None]] = field(default_factory=dict)
    attack: dict[Technique, None] = field(default_factory=dict)
    size: int = 0
    has_more: bool = False

    def add(self, deviation: Deviation, grading: Grade) -> None:
        of_dimension = self.values.setdefault(deviation.dimension, {})
        if deviation.value not in of_dimension:
            if self.size < _VALUES:
                of_dimension[deviation.value] = None
                self.size += 1
            else:
                self.has_more = True
        if len(self.attack) < _TECHNIQUES:
            self.attack.update(dict.fromkeys(grading.attack))


class Rollouts:
    """Remembers what new images showed, those that were seen last."""

    def __init__(self) -> None:
        self._images: dict[tuple[str, str], _Image] = {}
        self.size = 0  # values of all images

    def take(
        self,
        graded: Iterable[tuple[Deviation, Grade]],
        *,
        workload_key: str,
        digest: str,
        instance: int,
    ) -> Sighting | None:
        """Return what stands for *graded*, seen in one window, and for what there was before."""
        now = list(graded)
        if not now:
            return None
        key = workload_key, digest
        image = self._images.pop(key, None) or _Image()
        self._images[key] = image
        before = image.size
        for deviation, grading in now:
            image.add(deviation, grading)
        self.size += image.size - before
        while len(self._images) > _IMAGES or self.size > _ALL_VALUES:
            self.size -= self._images.pop(next(iter(self._images))).size
        return _sighting(image, [one for one, _ in now], digest, instance)


def _sighting(image: _Image, now: list[Deviation], digest: str, instance: int) -> Sighting:
    counted = Counter({name: len(values) for name, values in image.values.items()})
    words = ", ".join(f"{number} of {name}" for name, number in sorted(counted.items()))
    words += ", and more" if image.has_more else ""
    short = escape(digest).removeprefix("sha256:")[:_DIGITS]
    return Sighting(
        layer="deviation",
        rule=RULE,
        title="New image does what its baseline does not have",
        reason=ROLLOUT_REASON,
        severity="low",
        attack=tuple(image.attack),
        instance=instance,
        phase=now[0].phase,
        dimension=RULE,
        observed=f"image {short}, new: {words}",
        exe=None,
        exec_id=None,
        first_ns=min(one.first_ns for one in now),
        last_ns=max(one.last_ns for one in now),
        count=sum(one.count for one in now),
        identity=f"image {digest}",
        compliance=BY_DIMENSION[RULE],
        groups=tuple((name, tuple(values)) for name, values in sorted(image.values.items())),
    )
