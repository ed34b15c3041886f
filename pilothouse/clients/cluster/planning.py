"""What a bundle would change: the plan, and the drift."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from pilothouse.clients.cluster import refusals
from pilothouse.clients.cluster.objects import Comparison, Objects
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.pruning import Pruner
from pilothouse.gitops.inventory import Inventory, key_of
from pilothouse.models.findings import MAX_FINDINGS, Finding
from pilothouse.models.health import DriftReport
from pilothouse.models.objects import Action, Bundle, ObjectChange, ObjectRef, Plan

MAX_CHANGES: Final = 100
MAX_FIELDS: Final = 20
_MAX_DRIFTED: Final = 50


async def make_plan(
    bundle: Bundle,
    revision: str,
    objects: Objects,
    pruner: Pruner,
    inventory: Inventory | None,
    prune: bool,
) -> Plan:
    """Compare every object with the live one; nothing is written."""
    compared = await in_parallel(objects.compare, bundle.manifests)
    changes = [
        ObjectChange(action=found.action, object=found.ref, fields=found.fields[:MAX_FIELDS])
        for found in compared
        if not found.refused
    ]
    left = (inventory or Inventory()).without(found.ref for found in compared)
    findings = [finding for found in compared for finding in found.findings]
    if prune and bundle.manifests:
        present = await in_parallel(pruner.exists, left)
        gone = [ref for ref, there in zip(left, present, strict=True) if there]
        changes += [ObjectChange(action="delete", object=ref) for ref in gone]
    elif left:
        findings.append(_not_pruned(left))
    counts: Counter[Action] = Counter(change.action for change in changes)
    return Plan(
        digest=bundle.digest(),
        revision=revision,
        environment=bundle.environment,
        counts=dict(counts),
        fencing=inventory.fencing if inventory is not None else 0,
        changes=tuple(c for c in changes if c.action != "unchanged")[:MAX_CHANGES],
        findings=tuple(sorted(_summed(findings), key=_errors_first)[:MAX_FINDINGS]),
    )


async def find_drift(bundle: Bundle, objects: Objects, inventory: Inventory | None) -> DriftReport:
    """Where the cluster no longer matches the bundle; nothing is written."""
    compared = await in_parallel(objects.compare, bundle.manifests)
    owned = {key_of(ref) for ref in inventory.objects} if inventory else set()
    return DriftReport(
        drifted=tuple(found.ref for found in compared if _differs(found))[:_MAX_DRIFTED],
        missing=tuple(
            found.ref
            for found in compared
            # What was never applied is not drift but a deployment that did not end.
            if found.action == "create" and (not owned or key_of(found.ref) in owned)
        )[:_MAX_DRIFTED],
        unreadable=tuple(found.ref for found in compared if _is_unseen(found))[:_MAX_DRIFTED],
    )


def _differs(found: Comparison) -> bool:
    """Whether a field has another value: ours to put back, or claimed by another manager."""
    return found.action == "change" and (found.live is not None or found.conflict)


def _is_unseen(found: Comparison) -> bool:
    return found.action == "change" and not _differs(found)


def _summed(findings: Sequence[Finding]) -> Iterator[Finding]:
    """What is only said, once for all objects it is said of: a bundle may bring its namespace."""
    said = Counter(found.message for found in findings if found.severity == "info")
    for found in findings:
        times = said.pop(found.message, 0) if found.severity == "info" else 1
        if times > 1:
            others = f"{found.message} (and so for {times - 1} other objects)"
            yield found.model_copy(update={"message": others})
        elif times:
            yield found


def _not_pruned(left: Sequence[ObjectRef]) -> Finding:
    names = ", ".join(str(ref) for ref in left[:5])
    return Finding(
        rule=refusals.RULE,
        severity="info",
        file="",
        message=f"{len(left)} objects left Git and stay in the cluster, as prune is off: {names}",
    )


def _errors_first(finding: Finding) -> tuple[int, str, int]:
    return (("error", "warning", "info").index(finding.severity), finding.file, finding.line)
