"""Flat training recipes and the TOML files that configure them."""
