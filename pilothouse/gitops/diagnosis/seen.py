"""What was read from a cluster about one object that is not well: the input of a diagnosis."""

from typing import NamedTuple

from pilothouse.gitops.health.fields import LiveObject
from pilothouse.models.objects import ObjectRef


class ContainerLog(NamedTuple):
    """The end of one container's log."""

    pod: str
    container: str
    text: str
    previous: bool = False
    """Of the run before the present one: the one that crashed."""


class Seen(NamedTuple):
    """One object with its current pods, events about any of them, and logs."""

    ref: ObjectRef
    live: LiveObject | None
    """None: it is not there."""
    message: str = ""
    """What the health rules said."""
    pods: tuple[LiveObject, ...] = ()
    """Of the current revision only."""
    events: tuple[LiveObject, ...] = ()
    """About the object, its ReplicaSet and its pods; oldest first."""
    logs: tuple[ContainerLog, ...] = ()
