"""GStreamer: its Python binding, and the elements that the configured pipelines name."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from edge_rgbt.cameras.system_gi import import_gi
from edge_rgbt.errors import CameraError
from edge_rgbt.health.checks.finding import Finding, Site, good, note, wrong

# element -> Debian or L4T package; what every camera needs first, then what pipelines usually name
PACKAGES = {
    "appsink": "gstreamer1.0-plugins-base",
    "videoconvert": "gstreamer1.0-plugins-base",
    "videotestsrc": "gstreamer1.0-plugins-base",
    "v4l2src": "gstreamer1.0-plugins-good",
    "rtspsrc": "gstreamer1.0-plugins-good",
    "rtph264depay": "gstreamer1.0-plugins-good",
    "jpegdec": "gstreamer1.0-plugins-good",
    "h264parse": "gstreamer1.0-plugins-bad",
    "h265parse": "gstreamer1.0-plugins-bad",
    "avdec_h264": "gstreamer1.0-libav",
    "avdec_h265": "gstreamer1.0-libav",
    "nvarguscamerasrc": "nvidia-l4t-camera",
    "nvvidconv": "nvidia-l4t-gstreamer",
    "nvv4l2decoder": "nvidia-l4t-gstreamer",
}
GENERIC = tuple(name for name in PACKAGES if not name.startswith("nv"))


def check_gstreamer(site: Site) -> Iterator[Finding]:
    """Without a pipeline in the configuration nothing here can be wrong."""
    needed = bool(site.pipelines)
    if site.configured and not needed:
        yield note("GStreamer", "no camera of this configuration uses it")
        return
    tell = wrong if needed else note
    program = shutil.which("gst-inspect-1.0")
    if program is None:
        yield tell("GStreamer", "gst-inspect-1.0 is not there", "apt install gstreamer1.0-tools")
        return
    try:
        import_gi()
    except CameraError as error:
        yield tell("GStreamer", str(error))
    elements = sorted({"appsink", *pipeline_elements(site.pipelines)}) if needed else GENERIC
    missing = [name for name in elements if not _has(program, name)]
    if missing:
        packages = sorted({PACKAGES.get(name, f"the package of {name}") for name in missing})
        yield tell("GStreamer", f"lacks {', '.join(missing)}", f"apt install {' '.join(packages)}")
    else:
        yield good("GStreamer", f"{_version(program)}, {len(elements)} elements found: {', '.join(elements)}")


def pipeline_elements(pipelines: tuple[str, ...]) -> list[str]:
    """Names of the elements in pipeline descriptions: what stands at the head of each part between `!`."""
    found = []
    for pipeline in pipelines:
        for part in re.sub(r'"[^"]*"|\'[^\']*\'', "", pipeline).split("!"):
            # A part may begin with pad references (`mux.`); caps (`video/x-raw, width = 640`) are no element.
            words = [word for word in part.split() if not word.endswith(".")]
            if words and re.fullmatch(r"[a-zA-Z][\w-]*", words[0]):
                found.append(words[0])
    return found


def _has(program: str, element: str) -> bool:
    call = [program, "--exists", element]
    return subprocess.run(call, capture_output=True, timeout=60, check=False).returncode == 0


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"GStreamer (\S+)", done.stdout)
    return found[1] if found else "unknown version"
