"""Measures once and writes a file: how two cameras are timed and mounted."""
