"""Training and export of the trackers: PyTorch lives here and never on the drone."""
