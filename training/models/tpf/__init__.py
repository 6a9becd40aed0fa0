"""TPF: the fusion adapter and its selective scan, the one-stream tracker, the auxiliary branches."""
