"""PyGObject is found where Debian puts it, or its absence is told in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from senders import require_elements

ROOT = Path(__file__).resolve().parents[2]
# `gi` is looked for in these folders alone; those that the interpreter knows are hidden from it.
LOOK = """
import sys
from edge_rgbt.cameras import system_gi
from edge_rgbt.errors import CameraError
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name == "gi":
            raise ModuleNotFoundError("No module named 'gi'", name="gi")
sys.meta_path.insert(0, Nowhere())
try:
    print(system_gi.import_gi(tuple(sys.argv[1:])).__name__, [p for p in sys.path if "dist-packages" in p])
except CameraError as error:
    print("CameraError", error, "gi" in sys.modules)
"""


def _look(*folders: Path | str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *map(str, folders)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _package(folder: Path, library: str, code: str = "") -> Path:
    (folder / "gi").mkdir(parents=True)
    (folder / "gi" / "__init__.py").write_text(code)
    (folder / "gi" / library).touch()
    return folder


def test_debians_package_is_used_and_nothing_else_of_its_folder():
    system = Path("/usr/lib/python3/dist-packages")
    if not list(system.glob(f"gi/_gi.cpython-{sys.version_info[0]}{sys.version_info[1]}-*.so")):
        pytest.skip("needs python3-gi for this Python: apt install python3-gi")
    assert _look(system) == "gi []"


def test_a_service_keeps_the_list_of_plugins_in_its_state_folder(tmp_path):
    require_elements()
    environment = {k: v for k, v in os.environ.items() if k != "GST_REGISTRY"}
    subprocess.run(
        [sys.executable, "-c", "from edge_rgbt.cameras.system_gi import load_gstreamer; load_gstreamer()"],
        cwd=ROOT, env=environment | {"STATE_DIRECTORY": str(tmp_path)}, check=True,
    )  # fmt: skip
    assert (tmp_path / "gstreamer-registry.bin").stat().st_size > 10_000


def test_a_package_for_another_python_is_refused(tmp_path):
    _package(tmp_path, "_gi.cpython-27-x86_64-linux-gnu.so")
    said = _look(tmp_path)
    assert "is built for another Python (_gi.cpython-27-x86_64-linux-gnu.so) than this one" in said
    assert "make the virtual environment with the system's python3" in said


def test_a_package_that_cannot_be_loaded_leaves_nothing_behind(tmp_path):
    _package(tmp_path, f"_gi{EXTENSION_SUFFIXES[0]}", "raise ImportError('libgirepository.so.1: missing')")
    said = _look(tmp_path)
    assert "cannot be loaded (libgirepository.so.1: missing); apt install python3-gi" in said
    assert said.endswith("False")


def test_absence_is_told_with_what_to_install(tmp_path):
    assert "(the Python module gi) is not installed; apt install python3-gi" in _look(tmp_path)
