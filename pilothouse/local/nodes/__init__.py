"""A node simulator: a real control plane schedules, starts, observes and fails pods on it."""

from pilothouse.local.nodes.simulator import NodeSimulator

__all__ = ["NodeSimulator"]
