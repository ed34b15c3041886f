"""The Kubernetes adapter."""

from pilothouse.clients.cluster.client import ClusterClient

__all__ = ["ClusterClient"]
