"""The one place that imports pymavlink: its version 2 dialect, taken directly.

`mavutil` loads the version 1 dialect unless an environment variable was set before its import, and that one
cannot send messages 259 and up (R-V2-1).
"""

from edge_rgbt.errors import EdgeRgbtError

try:
    from pymavlink.dialects.v20 import common
except ImportError as missing:  # the extra is optional, the sentence is not
    raise EdgeRgbtError(
        "MAVLink needs pymavlink, which is not installed: pip install 'edge-rgbt[mavlink]'"
    ) from missing

__all__ = ["common"]
