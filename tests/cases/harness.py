"""From nothing to results: image, staging, baselines, cases, score."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cases.campaign import run_campaign
from tests.cases.catalogue import Case
from tests.cases.image import build_image, missing_tools
from tests.cases.report import Noise, noise_of
from tests.cases.scoring import Result, Told, score
from tests.cases.staging import HarnessError, learn_normal

__all__ = ["Harness", "missing", "run_harness"]

RUNTIME = ("runc", "ip", "unshare", "mount", "gcc")


@dataclass(frozen=True, slots=True)
class Harness:
    """What one run of the harness came to."""

    results: list[Result]
    noise: Noise
    told: list[Told]
    messages: str


def missing() -> list[str]:
    """Return what the harness needs and this machine does not have."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [*missing_tools(), *(tool for tool in RUNTIME if not shutil.which(tool))]


def run_harness(
    directory: Path, *, cases: tuple[Case, ...], quiet: int = 4, quiet_seconds: float = 60,
    baselines: Path | None = None, say: Callable[[str], None] = lambda _: None,
) -> Harness:  # fmt: skip
    """Run *cases* in *directory*, by *baselines* or by what is learnt for it.

    Raises HarnessError where the harness itself failed. What is found is in the result.
    """
    if absent := missing():
        raise HarnessError(f"not installed: {', '.join(absent)}")
    image = directory / "image"
    if not image.exists():
        build_image(image)
    say("the image is built")
    if baselines is None:
        baselines = learn_normal(image, directory)
    say(f"learnt: {', '.join(sorted(path.name for path in baselines.glob('*.yaml')))}")
    campaign = run_campaign(
        image, baselines, directory, quiet=quiet, quiet_seconds=quiet_seconds, cases=cases, say=say
    )
    results = score(campaign.outcomes, campaign.told)
    noise = noise_of(campaign.quiet, campaign.quiet_seconds, campaign.told)
    return Harness(results, noise, campaign.told, campaign.messages)
