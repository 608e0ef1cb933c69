"""Run the notebooks of this repository and keep what they show.

    python -m tools.run_notebooks [NOTEBOOK...]

The kernel is this Python, reached over UNIX sockets: neither a network nor its loopback is needed.
What a notebook holds afterwards depends on its cells alone: no times, no paths, no versions.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
TIMEOUT_S = 120
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path) -> NotebookNode:
    """Return the notebook at *path* as it is when run from its start, in its own directory.

    `CellExecutionError` where a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    # A UNIX socket's path has at most 107 bytes: this one is short, whatever TMPDIR is.
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    with tempfile.TemporaryDirectory(prefix="nb-", dir="/tmp") as directory:
        manager = AsyncKernelManager(transport="ipc", ip=f"{directory}/kernel")
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=TIMEOUT_S,
            coalesce_streams=True,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute(cleanup_kc=True, env=environment | {"IPYTHONDIR": directory})
    notebook.metadata = METADATA
    return notebook


def main() -> None:
    """Run notebooks, all unless some are named, and write their outputs into them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "notebooks", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("*.ipynb"))
    )
    for path in parser.parse_args().notebooks:
        nbformat.write(run(path), path)


if __name__ == "__main__":
    main()
