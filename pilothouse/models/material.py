"""What an agent is to be shown, and what became of it."""

from pilothouse.models.base import Contract
from pilothouse.models.findings import ValidationReport
from pilothouse.models.health import DriftReport, HealthReport
from pilothouse.models.objects import Plan
from pilothouse.models.pipeline import Pipeline
from pilothouse.models.repository import Digest, Snapshot
from pilothouse.models.runs import TestReport
from pilothouse.models.tools import Material

MAX_MATERIAL = 512 * 1024
"""Bytes of all texts that one agent is shown at its start, whatever its budget."""


class MaterialRequest(Contract):
    """What a stage knows; what is not given is not shown."""

    room: int = MAX_MATERIAL
    """Bytes of all texts together: a part of the agent's budget, each turn reads them again."""
    snapshot: Snapshot | None = None
    """Whose files are shown: those that were judged."""
    governing: Snapshot | None = None
    """Whose documents are shown, and what the snapshot's files are compared with."""
    pipeline: Pipeline | None = None
    """The governing one: what it says of environments, and where files are."""
    bundles: dict[str, Digest] = {}
    """Environment -> its bundle in the content store; empty: nothing could be rendered."""
    stages: tuple[str, ...] = ()
    """How the stages before ended, one line each."""
    validation: ValidationReport | None = None
    tests: TestReport | None = None
    plan: Plan | None = None
    health: HealthReport | None = None
    drift: DriftReport | None = None


class Gathered(Contract):
    """Texts in the content store, numbered; all of them untrusted."""

    material: tuple[Material, ...] = ()
    left_out: str = ""
    """What is not shown, in words of ours; empty: everything is."""
