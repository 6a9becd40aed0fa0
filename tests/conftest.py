"""Where the tests find sample data and reference vectors, which are never part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything starts threads: with one test process per core there is no core left for them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable, default))
    if not path.is_dir():
        pytest.skip(
            f"needs {default.parent.name}/{default.name} beside the checkout, or {variable} set to it"
        )
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Sample sequences, image pairs, published results."""
    return _folder("EDGE_RGBT_DATA", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """Reference numbers of the published code."""
    return _folder("EDGE_RGBT_VECTORS", ROOT.parent / "shared" / "vectors")
