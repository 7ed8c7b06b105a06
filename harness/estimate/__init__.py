"""Profiles of machines that nobody has measured: from published figures. See docs/explanation/estimates.md."""
