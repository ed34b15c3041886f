"""Health of custom resources, by the conventions that controllers share.

The order follows kstatus (observed generation, `Reconciling`, `Stalled`, `Ready`), then the
conditions, phase words, flags and replica counts that operators use instead; `families` says where
a family's documentation differs. What none of the rules understands is `Unknown` or `Progressing`,
never `Healthy`.
"""

from typing import Final

from pilothouse.gitops.health import conditions, phases
from pilothouse.gitops.health.families import Family, family_of
from pilothouse.gitops.health.fields import (
    LiveObject,
    at,
    generation_observed,
    mapping,
    number,
    text,
    values,
)
from pilothouse.gitops.health.verdict import GRAVITY, Health

_SUSPENDED: Final = ("suspend", "suspended", "paused", "pause", "hibernated")


def custom_resource(live: LiveObject, group: str, kind: str) -> Health:
    """Judge an object of a kind that is not built in by what it reports about itself."""
    family = family_of(group, kind)
    if _rests(live, family):
        return Health("Suspended", "is suspended by its spec")
    if reports_nothing(live):
        if _is_static(live, family):
            return Health("Healthy", "no controller reports on it")
        return Health("Progressing", "has reported no status yet")
    if not generation_observed(live):
        refused = _by_conditions(live, family, only_current=True)
        if refused is not None and refused.status == "Degraded":
            return refused
        return Health("Progressing", "the controller has not seen the latest spec yet")
    listed = next((one for path in family.failures for one in values(live, path)), None)
    if listed is not None:
        return Health("Degraded", text(listed, "message") or "reports errors")
    verdict = _reported(live, family)
    awaited = next((path for path in family.awaits if not any(values(live, path))), "")
    if awaited and verdict.status in {"Healthy", "Unknown"}:
        return Health("Progressing", f"has not reported {awaited} yet")
    return verdict


def reports_nothing(live: LiveObject) -> bool:
    """Whether it has no status at all, so that waiting may never tell more.

    An Ingress counts as silent without an address: many controllers never publish one.
    """
    status = mapping(live, "status")
    return not status or (text(live, "kind") == "Ingress" and not any(status.values()))


def _rests(live: LiveObject, family: Family) -> bool:
    spec = mapping(live, "spec")
    if any(spec.get(name) is True for name in _SUSPENDED):
        return True
    return any(_has(live, rule) for rule in family.suspended)


def _is_static(live: LiveObject, family: Family) -> bool:
    """Whether it works by existing, without a controller that would say so."""
    if not family.reports or phases.recurs(text(live, "kind")):
        return True
    return any(_has(live, rule) for rule in family.silent_when)


def _has(live: LiveObject, rule: str) -> bool:
    """Whether the field that a rule names is true, or has the value after its `=`."""
    path, equals, wanted = rule.partition("=")
    found = values(live, path)
    return any(str(one) == wanted if equals else one is True for one in found)


def _reported(live: LiveObject, family: Family) -> Health:
    """The worst of what its conditions and its phase say; counts and flags where both are mute."""
    said = _by_conditions(live, family)
    failure = phases.failure_said(live)
    if failure and (said is None or said.status != "Healthy"):
        return Health("Degraded", failure)
    named = phases.judge(live, family)
    if named is not None and said is not None:
        phase, readable = named
        worse = readable and GRAVITY[phase.status] > GRAVITY[said.status]
        said = phase if worse else said
    elif named is not None:
        said = named[0]
    counted = phases.by_counts(live, family) or phases.by_replicas(live)
    if said is None:
        return phases.by_flags(live) or counted or _unreadable(live, family)
    if said.status == "Healthy" and counted is not None and counted.status != "Healthy":
        return counted
    return said


def _by_conditions(
    live: LiveObject, family: Family, *, only_current: bool = False
) -> Health | None:
    """What its conditions say; `only_current`: those that say that they are about this spec."""
    generation = number(live, "metadata", "generation")
    found = [
        one
        for items in phases.nested_conditions(live, family)
        for one in conditions.read_conditions(items, family)
        if not only_current or (isinstance(one.observed, int) and one.observed >= generation)
    ]
    return conditions.judge(found, family, generation, ends=phases.ends(text(live, "kind")))


def _unreadable(live: LiveObject, family: Family) -> Health:
    """It says something, in words of its own: a person must read it."""
    found = at(live, "status", "conditions")
    if not found and _is_static(live, family):
        return Health("Healthy", "no controller reports on it")
    if not found and (family.phases or family.summary):
        return Health("Progressing", f"has not reported {(family.phases + family.summary)[0]} yet")
    if family.awaits:
        return Health("Healthy", f"has reported {family.awaits[0]}")
    if found:
        return Health("Unknown", "its conditions follow no convention that we know")
    if found is not None:
        return Health("Progressing", "has reported no condition yet")
    if at(live, "status", "observedGeneration") is not None:
        return Health("Healthy", "its controller has seen the latest spec and reports no problem")
    return Health("Unknown", "its status follows no convention that we know")
