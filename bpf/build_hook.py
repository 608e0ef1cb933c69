"""Builds the BPF objects before hatchling makes a wheel, so that `pip install .` has them.

The objects are data for the kernel, not extensions of Python: the wheel stays pure, and holds
those of every machine.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]  # its parameter is hatchling's own
    """Called by hatchling once a target."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  theirs
        """Compile what is stale; hatchling shows the reason where that fails."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        builder = runpy.run_path(str(root / "bpf" / "build.py"))
        try:
            builder["build"](root)
        except builder["BuildError"] as error:
            self.app.abort(f"error: the BPF objects could not be built: {error}")
