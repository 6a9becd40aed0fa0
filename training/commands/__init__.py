"""One file per `python -m training` command: its arguments and what it calls."""
