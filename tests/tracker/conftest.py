"""The small real network that the tracker's tests drive."""

from __future__ import annotations

import pytest
from bundles import tiny_bundle

from edge_rgbt.engine import open_engine


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "b")


@pytest.fixture(scope="module")
def engine(bundle):
    return open_engine(bundle, threads=1)
