"""What one rule of health says: a status and, if it is not plain, why."""

from typing import Final, NamedTuple

from pilothouse.models.health import HealthStatus

_SEVERITY: Final[tuple[HealthStatus, ...]] = (
    "Healthy",
    "Suspended",
    "Progressing",
    "Missing",
    "Degraded",
    "Unknown",
)
"""From best to worst, in Argo CD's order."""
GRAVITY: Final[dict[HealthStatus, int]] = {
    "Healthy": 0, "Unknown": 1, "Progressing": 2, "Missing": 3, "Suspended": 4, "Degraded": 5,
}  # fmt: skip
"""Which of several statements of one object to believe: one that we cannot read spoils good news,
and no more; what rests on purpose need not get on."""


class Health(NamedTuple):
    """A status with a message for people; the message is empty where the status says it all."""

    status: HealthStatus
    message: str = ""


HEALTHY = Health("Healthy")


def worst(statuses: list[HealthStatus]) -> HealthStatus:
    """The status of a whole; `Missing` if there is nothing."""
    return max(statuses, key=_SEVERITY.index, default="Missing")
