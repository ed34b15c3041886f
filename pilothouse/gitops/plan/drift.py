"""A plan read the other way round: where the cluster left what Git says."""

from typing import Final

from pilothouse.models.base import Contract
from pilothouse.models.findings import Finding
from pilothouse.models.health import DriftReport
from pilothouse.models.objects import FieldChange, ObjectChange, ObjectRef, Plan

_NOTHING: Final = DriftReport()


class DriftedObject(Contract):
    """One object whose fields differ from Git."""

    object: ObjectRef
    file: str = ""
    line: int = 0
    fields: tuple[str, ...] = ()
    """JSON pointers that differ, at most 20."""
    diff: tuple[FieldChange, ...] = ()
    """From what Git says (`before`) to what is live (`after`); masked as in a plan."""
    claimed: str = ""
    """Which field manager claims the fields, where an apply would be refused for it; the values
    are not known then."""


class Drift(Contract):
    """Everything in which a cluster differs from Git, values included: for people, no history."""

    drifted: tuple[DriftedObject, ...] = ()
    missing: tuple[ObjectRef, ...] = ()
    """Git has them, the cluster does not."""
    extra: tuple[ObjectRef, ...] = ()
    """The environment's inventory has them, Git does not."""
    unreadable: tuple[ObjectRef, ...] = ()
    """They may not be read: whether they drifted is not known."""
    refused: tuple[Finding, ...] = ()
    """What the cluster refused to compare."""

    @property
    def clean(self) -> bool:
        """Nothing that could be compared differs."""
        return not (self.drifted or self.missing or self.extra)


def drift_of(plan: Plan, claimed: DriftReport = _NOTHING) -> Drift:
    """The drift that a plan would put back: what it creates is missing, what it deletes is extra.

    Args:
        plan: whole, with differences, of a cluster.
        claimed: what the cluster calls drifted; names what an apply would not put back, because
            another manager claims the fields.
    """
    changes = [c for c in plan.changes if c.action in {"change", "recreate"}]
    refused = {found.object: found for found in plan.findings if found.severity == "error"}
    taken = [
        DriftedObject(
            object=ref,
            file=found.file,
            line=found.line,
            fields=claimed.fields.get(str(ref), ()),
            claimed=found.message,
        )
        for ref in claimed.drifted
        if (found := refused.pop(str(ref), None))
    ]
    return Drift(
        drifted=(*(_turned(change) for change in changes if change.fields), *taken),
        missing=tuple(c.object for c in plan.changes if c.action == "create"),
        extra=tuple(c.object for c in plan.changes if c.action == "delete"),
        unreadable=tuple(change.object for change in changes if not change.fields),
        refused=tuple(refused.values()),
    )


def _turned(change: ObjectChange) -> DriftedObject:
    diff = tuple(
        found.model_copy(
            update={
                "kind": {"add": "remove", "remove": "add"}.get(found.kind, "replace"),
                "before": found.after,
                "after": found.before,
            }
        )
        for found in change.diff
    )
    return DriftedObject(
        object=change.object,
        file=change.file,
        line=change.line,
        fields=change.fields,
        diff=diff,
    )
