"""What one rule of health says: a status and, if it is not plain, why."""

from typing import NamedTuple

from pilothouse.models.health import HealthStatus

_SEVERITY: tuple[HealthStatus, ...] = (
    "Healthy",
    "Suspended",
    "Progressing",
    "Missing",
    "Degraded",
    "Unknown",
)
"""From best to worst, in Argo CD's order."""


class Health(NamedTuple):
    """A status with a message for people; the message is empty where the status says it all."""

    status: HealthStatus
    message: str = ""


HEALTHY = Health("Healthy")


def worst(statuses: list[HealthStatus]) -> HealthStatus:
    """The status of a whole; `Missing` if there is nothing."""
    return max(statuses, key=_SEVERITY.index, default="Missing")
