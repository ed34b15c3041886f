"""Is it working, why not, and does the cluster still match Git."""

from typing import Literal

from pilothouse.models.base import Contract
from pilothouse.models.objects import ObjectRef

HealthStatus = Literal["Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"]

Cause = Literal[
    "crash_loop",
    "image_pull",
    "out_of_memory",
    "not_ready",
    "unschedulable",
    "bad_configuration",
    "job_failed",
    "quota",
    "missing_object",
    "timeout",
    "unknown",
]
"""The closed list of what can be wrong; recovery is chosen by cause, never by free text."""


class ObjectHealth(Contract):
    """One object's state, from the object alone."""

    object: ObjectRef
    status: HealthStatus
    message: str = ""


class Evidence(Contract):
    """One thing that was seen, quoted; untrusted text, cut to 500 characters."""

    kind: Literal["event", "log", "status", "condition"]
    source: str
    """What it was read from, e.g. `Pod/staging/model-api-6c9f/api`."""
    text: str


class Diagnosis(Contract):
    """Why something is not healthy, with what shows it."""

    object: ObjectRef
    cause: Cause
    summary: str
    """One sentence for people."""
    final: bool
    """Nothing can still change by waiting."""
    evidence: tuple[Evidence, ...] = ()


class HealthReport(Contract):
    """The health of everything in one environment's inventory."""

    status: HealthStatus
    """The worst of all objects; `Missing` if there is nothing."""
    objects: int
    waiting_for: tuple[ObjectHealth, ...] = ()
    """Objects that are not healthy, at most 20."""
    diagnoses: tuple[Diagnosis, ...] = ()
    seconds: float = 0.0
    """How long we watched."""

    @property
    def healthy(self) -> bool:
        """Everything works, or is suspended on purpose."""
        return self.status in {"Healthy", "Suspended"}


class DriftReport(Contract):
    """Where the cluster no longer matches what was deployed."""

    drifted: tuple[ObjectRef, ...] = ()
    """Objects whose fields differ from the plan, at most 50."""
    missing: tuple[ObjectRef, ...] = ()
    """Objects of the inventory that are gone, at most 50."""
    fields: dict[str, tuple[str, ...]] = {}
    """`Kind/namespace/name` of a drifted object -> the JSON pointers that differ, at most 10."""
    unreadable: tuple[ObjectRef, ...] = ()
    """Objects that we may not read, or that the server refused to compare, at most 50: whether
    they drifted is not known."""

    @property
    def clean(self) -> bool:
        """The cluster matches Git."""
        return not self.drifted and not self.missing
