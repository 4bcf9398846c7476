"""Trained routes: small paths that bring what lower layers know to the top, and the probe that is their control."""
