from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def _make_demo(tmp_path: Path, python: str) -> subprocess.CompletedProcess[str]:
    call = ["make", "demo", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}"]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


def _script(path: Path, lines: str) -> str:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_without_venv_is_told_what_to_install(tmp_path):
    python = _script(tmp_path / "python", f'[ "$2" = venv ] && exit 1; exec {sys.executable} "$@"')
    done = _make_demo(tmp_path, python)
    assert done.returncode == 2
    assert "apt install python3-venv" in done.stderr


def test_a_python_of_another_version_is_told_which_fit(tmp_path):
    done = _make_demo(tmp_path, _script(tmp_path / "python", "exit 1"))
    assert done.returncode == 2
    assert "edge-rgbt needs Python 3.10 to 3.12" in done.stderr
