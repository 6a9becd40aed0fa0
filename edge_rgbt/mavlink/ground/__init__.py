"""The other side of the camera component: a ground station's part of the conversation, for our console."""

from edge_rgbt.mavlink.ground.client import GroundClient, GroundIdentity
from edge_rgbt.mavlink.ground.commands import Answer

__all__ = ["Answer", "GroundClient", "GroundIdentity"]
