"""Slotwise: decide, per machine and per pipeline, how to run agent graphs on a local LLM server."""

__version__ = "0.1.0"
