"""Git on bare mirrors: nothing is checked out, no hook runs, no outside text becomes an option."""

from pilothouse.clients.git.local import LocalRepository
from pilothouse.clients.git.mirrors import GitMirrors
from pilothouse.clients.git.reading import TreeFile

__all__ = ["GitMirrors", "LocalRepository", "TreeFile"]
