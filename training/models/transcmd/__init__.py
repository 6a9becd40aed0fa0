"""TransCMD-tiny: a compact tracker for both modalities, its teacher, and what trains one from the other."""
