"""What leaves the tracker: MAVLink messages, annotated video, track logs."""
