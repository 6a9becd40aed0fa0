"""The commands of `python -m calibration`, a file each."""
