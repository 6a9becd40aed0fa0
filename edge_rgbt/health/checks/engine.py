"""The model: its bundle is whole, its engine opens, and one inference runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import numpy as np

from edge_rgbt.adapter import AdapterWeights, open_adapter
from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.engine import Engine, open_engine
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.health.checks.finding import Finding, Site, good, wrong

RUNS = 5


def check_engine(site: Site) -> Iterator[Finding]:
    """Hashes every file of the bundle, opens the engine and runs it on blank pictures."""
    try:
        bundle = load_bundle(site.bundle)
    except EdgeRgbtError as error:
        yield wrong("bundle", str(error))
        return
    m = bundle.manifest
    yield good(
        "bundle", f"{m.name} {m.version} ({m.family}, {m.precision}), every hash is right: {bundle.path}"
    )
    try:
        engine = open_engine(bundle, site.engine, site.threads)
    except EdgeRgbtError as error:
        yield wrong("engine", str(error))
        return
    if site.engine == "onnx":
        from edge_rgbt.engine.onnx import available_providers

        providers = ", ".join(name.removesuffix("ExecutionProvider") for name in available_providers())
        yield good("ONNX Runtime", f"{engine.info.version}, can use: {providers}")
    try:
        yield _run(engine, bundle)
    except EdgeRgbtError as error:
        yield wrong("engine", str(error), "export the bundle again for this engine")
    finally:
        engine.close()
    if (weights := bundle.adapter()) is not None:
        try:
            yield _fuse(weights, m.search_size, site.threads)
        except EdgeRgbtError as error:
            yield wrong("adapter", str(error))


def _fuse(weights: AdapterWeights, side_px: int, threads: int | None) -> Finding:
    blank = np.zeros((1, side_px, side_px, 3), np.uint8)
    began_ns = time.perf_counter_ns()
    adapter = open_adapter(weights, threads)
    try:
        adapter.fuse(blank, blank)
        ready_ns = time.perf_counter_ns()
        adapter.fuse(blank, blank)
        usual_ms = (time.perf_counter_ns() - ready_ns) / 1e6
    finally:
        adapter.close()
    first_ms = (ready_ns - began_ns) / 1e6
    return good("adapter", f"{adapter.info}; fuses in {usual_ms:.1f} ms, {first_ms:.1f} ms the first time")


def _run(engine: Engine, bundle: Bundle) -> Finding:
    feeds = {
        spec.name: np.zeros([abs(size) for size in spec.shape], spec.dtype) for spec in bundle.manifest.inputs
    }
    times_ms = []
    for _ in range(1 + RUNS):
        began_ns = time.perf_counter_ns()
        outputs = engine.run(feeds)
        times_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    usual_ms = statistics.median(times_ms[1:])
    text = f"{engine.info}; network {usual_ms:.1f} ms, {times_ms[0]:.1f} ms the first time"
    broken = [name for name, value in outputs.items() if not np.isfinite(value).all()]
    if broken:
        return wrong(
            "engine", f"{text}; {', '.join(broken)} holds numbers that are not finite", "export it again"
        )
    if engine.info.fallback:
        return wrong("engine", text, "see why it is not what was asked for")
    return good("engine", text)
