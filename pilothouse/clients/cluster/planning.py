"""What a bundle would change: the plan, what its rehearsal met, and the drift."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pilothouse.clients.cluster.applying.pruning import Candidate, Pruner
from pilothouse.clients.cluster.comparing import refusals
from pilothouse.clients.cluster.comparing.comparison import Comparison
from pilothouse.clients.cluster.comparing.survey import Survey
from pilothouse.gitops.inventory import Inventory, key_of
from pilothouse.gitops.plan import OWNERSHIP, assemble, describe
from pilothouse.models.findings import MAX_FINDINGS, Finding
from pilothouse.models.health import DriftReport
from pilothouse.models.objects import Bundle, ObjectChange, ObjectRef, Plan
from pilothouse.models.rehearsal import Met, Rehearsal

_MAX_DRIFTED: Final = 50
_MAX_FIELDS: Final = 10


class Rehearsed(NamedTuple):
    """A plan, and what it met in the cluster."""

    plan: Plan
    rehearsal: Rehearsal


async def make_plan(
    bundle: Bundle,
    revision: str,
    survey: Survey,
    pruner: Pruner,
    inventory: Inventory | None,
    *,
    name: str,
    prune: bool,
    references: Sequence[Finding] = (),
) -> Rehearsed:
    """Compare every object with the live one; nothing is written."""
    made = datetime.now(UTC)
    compared = await survey.compare(bundle.manifests)
    left = (inventory or Inventory()).without(found.ref for found in compared)
    findings = [*references, *(finding for found in compared for finding in found.findings)]
    findings += _left_alone(compared)
    changes = [_change(found) for found in compared if not found.refused]
    if prune and bundle.manifests:
        judged = await pruner.judge(left)
        changes += [describe("delete", one.ref) for one in judged if one.is_deleted]
        findings += _kept(judged)
    elif left:
        findings.append(_not_pruned(left))
    plan = assemble(
        bundle,
        revision,
        changes,
        findings=tuple(sorted(_summed(findings), key=_errors_first)[:MAX_FINDINGS]),
        fencing=inventory.fencing if inventory is not None else 0,
    )
    rehearsal = Rehearsal(
        digest=plan.digest, inventory=name, made=made, objects=tuple(_met(compared))
    )
    return Rehearsed(plan, rehearsal)


async def find_drift(bundle: Bundle, survey: Survey, inventory: Inventory | None) -> DriftReport:
    """Where the cluster no longer matches the bundle; nothing is written."""
    compared = await survey.compare(bundle.manifests)
    owned = {key_of(ref) for ref in inventory.objects} if inventory else set()
    drifted = [found for found in compared if _is_drift(found)][:_MAX_DRIFTED]
    return DriftReport(
        drifted=tuple(found.ref for found in drifted),
        missing=tuple(
            found.ref
            for found in compared
            # What was never applied is not drift but a deployment that did not end.
            if found.action == "create" and (not owned or key_of(found.ref) in owned)
        )[:_MAX_DRIFTED],
        fields={str(found.ref): _fields(found) for found in drifted},
        unreadable=tuple(
            found.ref for found in compared if found.action == "change" and not found.is_drift
        )[:_MAX_DRIFTED],
    )


def _is_drift(found: Comparison) -> bool:
    """Whether a value differs; who stated it may change hands without that."""
    handed_over = found.change is not None and set(found.change.fields) == {OWNERSHIP}
    return found.is_drift and not handed_over


def _fields(found: Comparison) -> tuple[str, ...]:
    """Where an object differs; of a refused one, where the refusal says so."""
    if found.change is not None:
        values = (pointer for pointer in found.change.fields if pointer != OWNERSHIP)
        return tuple(values)[:_MAX_FIELDS]
    paths = (finding.path for finding in found.findings if finding.path)
    return tuple(dict.fromkeys(paths))[:_MAX_FIELDS]


def _change(found: Comparison) -> ObjectChange:
    if found.change is not None:
        return found.change
    return describe(found.action, found.ref, manifest=found.manifest)


def _met(compared: Sequence[Comparison]) -> Iterator[Met]:
    for found in compared:
        if found.checked and found.seen and found.action != "recreate":
            yield Met(
                object=found.ref, action=found.action, version=found.version, force=found.force
            )


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


def _left_alone(compared: Sequence[Comparison]) -> Iterator[Finding]:
    for found in compared:
        if found.skipped:
            yield refusals.finding(
                found.manifest, found.ref, f"not applied: {found.skipped}", "info"
            )


def _kept(judged: Sequence[Candidate]) -> Iterator[Finding]:
    for one in judged:
        if one.reason:
            message = f"it left Git and stays in the cluster: {one.reason}"
            yield _of_cluster(message).model_copy(update={"object": str(one.ref)})


def _not_pruned(left: Sequence[ObjectRef]) -> Finding:
    names = ", ".join(str(ref) for ref in left[:5])
    message = f"{len(left)} objects left Git and stay in the cluster, as prune is off: {names}"
    return _of_cluster(message)


def _of_cluster(message: str) -> Finding:
    return Finding(rule=refusals.RULE, severity="info", file="", message=message)


def _errors_first(finding: Finding) -> tuple[int, str, int]:
    return (("error", "warning", "info").index(finding.severity), finding.file, finding.line)
