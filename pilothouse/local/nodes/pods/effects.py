"""What a step of a simulated pod leaves behind, beside its new state."""

from dataclasses import dataclass, field
from typing import Literal

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class PodEvent:
    """An event to be recorded about a pod, or about one of its containers."""

    type: EventType
    reason: str
    message: str
    field_path: str = ""
    """`spec.containers{api}` for a container, empty for the pod."""


@dataclass(frozen=True)
class LogLine:
    """One line of one instance of a container."""

    container: str
    instance: int
    """The restart count at which it was printed."""
    at: float
    """Seconds since the epoch."""
    text: str


@dataclass
class Effects:
    """Events and log lines of one step, oldest first."""

    events: list[PodEvent] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)
