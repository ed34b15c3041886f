"""Embedded services for one machine."""
