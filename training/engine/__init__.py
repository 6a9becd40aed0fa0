"""What all recipes share and no model knows: processes, precision, resuming, and seeing a run."""
