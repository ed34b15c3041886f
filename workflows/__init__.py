"""Deterministic orchestration: one workflow class a file."""
