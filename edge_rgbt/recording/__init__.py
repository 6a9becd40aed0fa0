"""Flight recordings: MCAP files that hold what the cameras saw and what the tracker made of it.

Start at `recorder.py` (what the frame loop calls) and `reader.py` (what replay calls). Nothing here loads
`mcap` or `protobuf` before a recorder or a recording is opened.
"""

from edge_rgbt.recording.reader import FlightRecording, open_recording
from edge_rgbt.recording.recorder import FlightContext, FlightRecorder
from edge_rgbt.recording.settings import RecorderCounters, RecorderSettings

__all__ = [
    "FlightContext",
    "FlightRecorder",
    "FlightRecording",
    "RecorderCounters",
    "RecorderSettings",
    "open_recording",
]
