"""Video to the ground: colour, thermal or both over RTSP, encoded once for all who watch."""

from edge_rgbt.streaming.pictures import Shown
from edge_rgbt.streaming.server import VideoServer
from edge_rgbt.streaming.settings import StreamSettings, VideoSettings

__all__ = ["Shown", "StreamSettings", "VideoServer", "VideoSettings"]
