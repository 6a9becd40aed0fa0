"""GStreamer's Python interface, which belongs to the system's Python, for this one.

Debian and Ubuntu build PyGObject for their own Python and put it where virtual environments do not look.
Building it again from PyPI needs a compiler and headers on the drone. It works from any Python of the same
version, so that one package, and nothing else of the system's, is taken from its place.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_rgbt.errors import CameraError

PACKAGES = (
    "python3-gi gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-libav gir1.2-gst-plugins-base-1.0"
)
RTSP_PACKAGE = "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly"
_MODULES = ("GLib", "Gst", "GstApp", "GstVideo")
_LOADING = threading.Lock()  # half an import is no module
_SYSTEM_FOLDERS = ("/usr/lib/python3/dist-packages",)


@dataclass(frozen=True)
class GStreamer:
    """The modules in use, started."""

    GLib: Any
    Gst: Any
    GstApp: Any
    GstVideo: Any


def load_gstreamer() -> GStreamer:
    """Loads and starts GStreamer, once; cameras of several threads may ask at the same time.

    Raises CameraError with the missing package.
    """
    with _LOADING:
        return _loaded()


def load_rtsp_server() -> Any:
    """The module GstRtspServer. Raises CameraError with the missing package; call `load_gstreamer` first."""
    with _LOADING:
        try:
            import_gi().require_version("GstRtspServer", "1.0")
            return importlib.import_module("gi.repository.GstRtspServer")
        except (ValueError, ImportError) as error:
            raise CameraError(
                f"GStreamer's RTSP server is not installed ({_line(error)}); apt install {RTSP_PACKAGE}"
            ) from error


def _loaded() -> GStreamer:
    gi = import_gi()
    try:
        for name in _MODULES:
            gi.require_version(name, "2.0" if name == "GLib" else "1.0")
        loaded = GStreamer(*(importlib.import_module(f"gi.repository.{name}") for name in _MODULES))
    except (ValueError, ImportError) as error:
        raise CameraError(
            f"GStreamer's descriptions are not installed ({_line(error)}); apt install {PACKAGES}"
        ) from error
    # A service has no home folder for GStreamer's list of plugins, which would be made anew at every start,
    # in 0.8 s against 0.05 s on a PC. systemd says where the service may keep it.
    if state := os.environ.get("STATE_DIRECTORY"):
        os.environ.setdefault("GST_REGISTRY", f"{state.split(':')[0]}/gstreamer-registry.bin")
    loaded.Gst.init(None)
    return loaded


def import_gi(folders: tuple[str, ...] = _SYSTEM_FOLDERS) -> Any:
    """The module `gi`: this environment's own, else the system's if it was built for this Python."""
    try:
        return importlib.import_module("gi")
    except ModuleNotFoundError as error:
        if error.name != "gi":
            raise CameraError(f"PyGObject is damaged ({_line(error)}); apt install {PACKAGES}") from error
    for folder in folders:
        spec = importlib.machinery.PathFinder.find_spec("gi", [folder])
        if spec is not None and spec.origin is not None:
            return _import_from(spec, Path(spec.origin).parent)
    raise CameraError(f"PyGObject (the Python module gi) is not installed; apt install {PACKAGES}")


def _import_from(spec: importlib.machinery.ModuleSpec, package: Path) -> Any:
    built = sorted(path.name for path in package.glob("_gi.*so"))
    if not any(name == "_gi" + suffix for name in built for suffix in importlib.machinery.EXTENSION_SUFFIXES):
        raise CameraError(
            f"{package} is built for another Python ({', '.join(built) or 'no library in it'}) than this one "
            f"({sys.version_info[0]}.{sys.version_info[1]}); make the virtual environment with the system's "
            "python3"
        )
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gi"] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        for name in [n for n in sys.modules if n == "gi" or n.startswith("gi.")]:
            del sys.modules[name]
        raise CameraError(f"{package} cannot be loaded ({_line(error)}); apt install {PACKAGES}") from error
    return module


def _line(error: Exception) -> str:
    return str(error).replace(os.linesep, " ")
