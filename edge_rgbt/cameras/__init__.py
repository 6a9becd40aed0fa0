"""Sources of frames: one small contract in `base.py`, a file for each kind."""
