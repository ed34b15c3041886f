"""What the dry-run of a plan met, so that an apply that meets the same need not ask again."""

from datetime import datetime

from pilothouse.models.base import Contract
from pilothouse.models.objects import Action, ObjectRef
from pilothouse.models.repository import Digest


class Met(Contract):
    """One object that the server's dry-run took."""

    object: ObjectRef
    action: Action
    version: str
    """The live object's `resourceVersion`; empty: it was absent."""
    force: bool = False
    """Whether the dry-run took fields from other managers."""


class Rehearsal(Contract):
    """The dry-run of one bundle."""

    digest: Digest
    """The plan digest that was rehearsed."""
    inventory: str
    made: datetime
    objects: tuple[Met, ...]

    def age(self, now: datetime) -> float:
        """Seconds from the dry-run until `now`."""
        return (now - self.made).total_seconds()
