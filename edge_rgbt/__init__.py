"""RGB-thermal single-object tracking for drones: cameras in, tracks out over MAVLink."""

__version__ = "0.1.0"
