"""MAVLink out: endpoints, messages, and the publisher that ties them to a track."""

from edge_rgbt.mavlink.connection import LinkCounters
from edge_rgbt.mavlink.endpoint import DEFAULT_URL, Endpoint, parse_endpoint
from edge_rgbt.mavlink.messages import StatusOptions, VehiclePose
from edge_rgbt.mavlink.publisher import TrackPublisher
from edge_rgbt.mavlink.vehicle import SimulatedVehicle

__all__ = [
    "DEFAULT_URL",
    "Endpoint",
    "LinkCounters",
    "SimulatedVehicle",
    "StatusOptions",
    "TrackPublisher",
    "VehiclePose",
    "parse_endpoint",
]
