"""Profiles of machines that nobody has measured: from what is published of a device and a model (docs/estimates.md)."""
