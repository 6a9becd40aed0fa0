"""The camera component: what a ground station asks of a MAVLink camera that tracks, and what it is told."""
