"""One object's part of a plan, and the plan as a whole."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.plan.comparison import Same, differences
from pilothouse.gitops.plan.masking import shown, shown_whole
from pilothouse.gitops.plan.normal import is_secret, normal
from pilothouse.gitops.plan.pointers import patterns_for, without
from pilothouse.gitops.plan.report.markdown import review
from pilothouse.gitops.plan.risks import Facts, risks_of
from pilothouse.gitops.validation.shapes import mapping
from pilothouse.models.findings import Finding
from pilothouse.models.objects import (
    Action,
    Bundle,
    FieldChange,
    Manifest,
    ObjectChange,
    ObjectRef,
    Plan,
    RiskKind,
)
from pilothouse.models.pipeline import IgnoreRule

MAX_CHANGES: Final = 100
"""Changes of a plan that travels through a workflow's history."""
_MAX_TRAVEL_BYTES: Final = 32 * 1024
"""Names and paths are others' to choose; with review and findings a payload stays below 64 KiB."""
MAX_FIELDS: Final = 20
OWNERSHIP: Final = "/metadata/managedFields"
"""Says that fields pass from another manager to us, whatever their values."""


def describe(
    action: Action,
    ref: ObjectRef,
    *,
    manifest: Manifest | None = None,
    live: Mapping[str, JsonValue] | None = None,
    wanted: Mapping[str, JsonValue] | None = None,
    ignore: Sequence[IgnoreRule] = (),
    takeover: Sequence[str] = (),
    same: Same | None = None,
) -> ObjectChange:
    """What a plan would do to one object: fields, masked values, risks, and where Git has it.

    Args:
        action: what was decided.
        ref: the object, with the namespace that it really goes to.
        manifest: what Git has; None for a delete.
        live: the object as it is; None if it is absent or may not be read.
        wanted: the server's answer to the rehearsal; without one the manifest itself.
        ignore: the environment's rules about fields that others own.
        takeover: managers that lose fields to us.
        same: a wider notion of equality, where no server has brought both into one form.
    """
    file, line = (manifest.file, manifest.line) if manifest else ("", 0)
    if action == "unchanged":
        return ObjectChange(action=action, object=ref, file=file, line=line)
    target = _target(action, manifest, wanted)
    diff = _diff(action, manifest, live, target, ignore, same)
    fields = [change.path for change in diff if change.path]
    fields += [OWNERSHIP] if takeover else []
    facts = Facts(action, ref, _judged(live, ref, ignore), _judged(target, ref, ignore) or {})
    return ObjectChange(
        action=action,
        object=ref,
        fields=tuple(dict.fromkeys(fields))[:MAX_FIELDS],
        diff=diff,
        risks=risks_of(facts._replace(takeover=takeover)),
        file=file,
        line=line,
    )


def _target(
    action: Action, manifest: Manifest | None, wanted: Mapping[str, JsonValue] | None
) -> Mapping[str, JsonValue]:
    if action == "delete":
        return {}
    return wanted or (manifest.body if manifest else {})


def _diff(
    action: Action,
    manifest: Manifest | None,
    live: Mapping[str, JsonValue] | None,
    wanted: Mapping[str, JsonValue],
    ignore: Sequence[IgnoreRule],
    same: Same | None,
) -> tuple[FieldChange, ...]:
    secret = is_secret(wanted)
    if action == "create" and manifest is not None:
        # What Git says, not what the server would add to it.
        body = shown_whole(normal(manifest.body), secret=secret)
        return (FieldChange(path="", kind="add", after=body),)
    if action == "delete" or live is None:
        return ()
    found = differences(live, wanted, ignore, same)
    return tuple(shown(difference, secret=secret) for difference in found)


def _judged(
    body: Mapping[str, JsonValue] | None, ref: ObjectRef, ignore: Sequence[IgnoreRule]
) -> Mapping[str, JsonValue] | None:
    patterns = patterns_for(ref, ignore)
    return mapping(without(dict(body), patterns)) if body is not None and patterns else body


def assemble(
    bundle: Bundle,
    revision: str,
    changes: Iterable[ObjectChange],
    *,
    findings: Sequence[Finding] = (),
    fencing: int = 0,
) -> Plan:
    """The whole plan: counts and risks of all changes, every difference, and the review.

    Args:
        bundle: what was planned.
        revision: the full commit id that it was rendered from.
        changes: one for each object, unchanged ones too, in apply order; deletes last.
        findings: what the server refused.
        fencing: the highest fencing number that ever wrote to the inventory.
    """
    counts: Counter[Action] = Counter()
    risks: Counter[RiskKind] = Counter()
    kept: list[ObjectChange] = []
    for change in changes:
        counts[change.action] += 1
        risks.update({risk.kind for risk in change.risks})
        if change.action != "unchanged":
            kept.append(change)
    plan = Plan(
        digest=bundle.digest(),
        revision=revision,
        environment=bundle.environment,
        counts=dict(counts),
        fencing=fencing,
        changes=tuple(kept),
        findings=tuple(findings),
        risks=dict(risks),
    )
    return plan.model_copy(update={"review": review(plan)})


def brief(plan: Plan) -> Plan:
    """The plan as it travels through a history: without values, at most 100 changes or 32 KiB."""
    kept: list[ObjectChange] = []
    room = _MAX_TRAVEL_BYTES
    for change in plan.changes[:MAX_CHANGES]:
        slim = change.model_copy(update={"diff": ()})
        room -= len(slim.model_dump_json())
        if room < 0:
            break
        kept.append(slim)
    return plan.model_copy(update={"changes": tuple(kept)})
