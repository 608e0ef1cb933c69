"""Names that somebody made by the hundred in one go: junk that no rule should be made of.

Thousands of files with chosen names would make patterns wide and a baseline unreadable. What one
executable of one instance created in a fifth of the time that it was watched is a flood where it is
more than `FEWEST` names, and half of all that it ever created: a cache, a spool or a build fills
itself all the time, or in every replica, and at startup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ethogram.contracts.baseline import FileValue
from learner.dimensions import canonical, parse_key
from learner.evidence import Item, gather
from learner.watch import FEWEST_WINDOWS, Watch

__all__ = ["FEWEST", "floods_of", "is_flood"]

FEWEST = 256
_SHARE = 5
_DIRECTORIES = 100
_LETTERS = "rwxctandlp"


def is_flood(rows: pd.DataFrame, watched: Mapping[str, Watch]) -> np.ndarray:
    """Return which of *rows*, of a summary, are names of a flood."""
    found = np.zeros(len(rows), bool)
    is_steady = rows.phase.isin(["steady", "unknown"]).to_numpy()
    is_file = (rows.dimension == "files").to_numpy() & is_steady & (rows.windows <= 2).to_numpy()
    places = np.flatnonzero(is_file)
    if len(places) <= FEWEST:
        return found
    places = places[[_is_created(key) for key in rows.key.to_numpy()[places]]]
    if len(places) <= FEWEST:
        return found
    names = rows.iloc[places].assign(place=places)
    makers = names.groupby(names.exe_path.fillna(b""), sort=False)
    for _, made in makers:
        by_instance = [(str(name), part) for name, part in made.groupby("instance_key", sort=False)]
        crowded = [(name, part) for name, part in by_instance if len(part) > FEWEST]
        if len(crowded) == 1 and crowded[0][0] in watched:
            name, part = crowded[0]
            found[part.place.to_numpy()[_burst(part["first"].to_numpy(), watched[name])]] = True
    return found


def _is_created(key: bytes) -> bool:
    letters = key[key.rfind(b'"', 0, -2) :]
    return b"c" in letters or b"n" in letters


def _burst(times: np.ndarray, watch: Watch) -> np.ndarray:
    """Return which of *times* are the flood, none where it is not one."""
    nothing = np.zeros(len(times), bool)
    if watch.steady < FEWEST_WINDOWS:
        return nothing
    ordered = np.sort(times)
    ends = np.searchsorted(ordered, ordered + watch.length // _SHARE, side="right")
    counts = ends - np.arange(len(ordered))
    start = int(np.argmax(counts))
    if counts[start] <= FEWEST or 2 * counts[start] < len(times):
        return nothing
    inside: np.ndarray = (times >= ordered[start]) & (times <= ordered[ends[start] - 1])
    return inside


def floods_of(rows: pd.DataFrame) -> Iterator[tuple[Item, int]]:
    """Yield one item for each directory of *rows*, names of a flood, and how many there were."""
    if rows.empty:
        return
    keys = [parse_key(key, 2) for key in rows.key]
    directories = [str(path).rpartition("/")[0] for path, _ in keys]
    while len(set(directories)) > _DIRECTORIES:
        directories = [path.rpartition("/")[0] for path in directories]
    names = set(zip(directories, (path for path, _ in keys), strict=True))
    sizes = Counter(directory for directory, _ in names)
    letters: dict[str, set[str]] = {}
    for directory, (_, access) in zip(directories, keys, strict=True):
        letters.setdefault(directory, set()).update(access)
    # Without letters: these are no names that a pattern is made of.
    joined = rows.assign(key=[canonical([f"{directory}/", ""]) for directory in directories])
    for item in gather(joined):
        assert isinstance(item.value, FileValue)
        directory = item.value.path.removesuffix("/").replace(r"\x2a", "*")
        access = "".join(letter for letter in _LETTERS if letter in letters.get(directory, ()))
        value = FileValue(path=f"{item.value.path}*", access=access)
        yield replace(item, value=value, widened_from=None), sizes[directory]
