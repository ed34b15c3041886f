"""Git over smart HTTP on loopback, with signed webhooks: a small forge for demo and tests."""

from pilothouse.local.git_server.server import GitServer

__all__ = ["GitServer"]
