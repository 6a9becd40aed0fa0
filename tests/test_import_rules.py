"""The import rules: who may import whom, and what a fresh interpreter loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [name for name in ("edge_rgbt", "calibration", "training", "deploy") if (ROOT / name).is_dir()]
FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))

# heavy or device library -> the only places that may import it, as paths from the root
CONFINED = {
    "torch": ("training/", "edge_rgbt/engine/torch.py"),
    "tensorrt": ("edge_rgbt/engine/tensorrt.py", "edge_rgbt/engine/build.py"),
    "onnxruntime": (
        "edge_rgbt/engine/onnx.py",
        "calibration/",
        "training/export/",
        "training/models/tpf/experts.py",
    ),
    "numba": ("edge_rgbt/adapter/kernels.py",),
    "onnx": ("training/", "calibration/", "deploy/"),
    "pymavlink": ("edge_rgbt/mavlink/",),
    "serial": ("edge_rgbt/mavlink/",),
    "av": ("edge_rgbt/outputs/video.py", "edge_rgbt/ground/video.py"),
    "rasterio": ("edge_rgbt/geolocation/",),
    "aiohttp": ("edge_rgbt/ground/server.py",),
    "gi": ("edge_rgbt/cameras/system_gi.py",),
    "mcap": ("edge_rgbt/recording/",),
    "matplotlib": ("edge_rgbt/report/",),
    "jinja2": ("edge_rgbt/report/",),
}
# packages inside edge_rgbt that carry a stage of the loop; they exchange edge_rgbt.types, never each other
STAGES = ("cameras", "sync", "thermal", "register", "tracker", "outputs", "mavlink")
MAY_USE = {"tracker": {"engine", "imageops", "kernels"}, "cameras": {"sim"}}


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_rules_see_the_whole_tree():
    assert {"edge_rgbt", "training"} <= set(PACKAGES)
    assert len(FILES) > 50, [relative(f) for f in FILES]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_the_runtime(package):
    others = {"calibration", "training", "deploy", "tests", "benchmarks"} - {package}
    faults = [
        f"{relative(path)} imports {module}"
        for path in FILES
        if relative(path).startswith(f"{package}/")
        for module in imported_modules(path)
        if module.split(".")[0] in others
    ]
    assert not faults


@pytest.mark.parametrize("library", CONFINED)
def test_heavy_libraries_stay_in_their_place(library):
    faults = [
        f"{relative(path)} imports {module}"
        for path in FILES
        for module in imported_modules(path)
        if module.split(".")[0] == library and not relative(path).startswith(CONFINED[library])
    ]
    assert not faults


@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_import_each_other(stage):
    others = set(STAGES) - {stage} - MAY_USE.get(stage, set())
    faults = [
        f"{relative(path)} imports {module}"
        for path in FILES
        if relative(path).startswith((f"edge_rgbt/{stage}/", f"edge_rgbt/{stage}.py"))
        for module in imported_modules(path)
        if module.startswith("edge_rgbt.") and module.split(".")[1] in others
    ]
    assert not faults


def test_the_runtime_starts_without_heavy_libraries():
    heavy = list(CONFINED)
    code = f"import edge_rgbt.runtime, edge_rgbt.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_stay_readable():
    long = [f"{relative(f)}: {n} lines" for f in FILES if (n := len(f.read_text().splitlines())) > 400]
    assert not long
