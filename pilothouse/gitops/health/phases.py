"""Phases: the one-word summaries that many controllers keep beside conditions, or instead."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from pilothouse.gitops.health.families import Family
from pilothouse.gitops.health.fields import LiveObject, at, mapping, objects, text, values
from pilothouse.gitops.health.verdict import GRAVITY, Health
from pilothouse.gitops.health.words import read, squash, tokens, vocabulary
from pilothouse.models.health import HealthStatus

_FIELDS: Final = frozenset(("phase", "state", "status", "health", "code"))
_NOT_NOW: Final = vocabulary(
    "last previous prev desired target requested expected initial old next upgrade"
)
"""A field whose name begins so tells of another time than now."""
_ENDING_KINDS: Final = vocabulary(
    "run job task workflow experiment backup restore migration evaluation test build operation"
    " import export snapshot request order challenge execution"
)
"""Kinds that are meant to end: while they run they are not done."""
_WITH_CONDITIONS: Final = frozenset(("parents", "ancestors", "listeners"))
"""Where the Gateway API keeps what each of several controllers says."""
_SCHEDULES: Final = frozenset(("cron", "schedule", "scheduled"))
_SERVING: Final = frozenset(("running", "active", "started", "up", "scheduled"))


def judge(live: LiveObject, family: Family) -> tuple[Health, bool] | None:
    """The worst of all the words in which it names its phase.

    Returns:
        The verdict, and whether it could be read; None if it names no phase at all.
    """
    said = list(_said(live, family))
    if not said:
        return None
    kind = text(live, "kind")
    readings = [(_read(word, kind, family), word) for word in said]
    known = [(status, word) for status, word in readings if status is not None]
    status, word = max(
        ((status or "Unknown", word) for status, word in readings),
        key=lambda pair: GRAVITY[pair[0]],
    )
    return Health(status, explanation(live) or f"reports {word}"), bool(known)


def explanation(live: LiveObject) -> str:
    """What the status says in words beside its phase."""
    for name in ("message", "reason", "errorMessage", "statusMessage", "phaseReason"):
        found = text(live, "status", name)
        if found:
            return found
    return ""


def _said(live: LiveObject, family: Family) -> Iterator[str]:
    if family.phases:
        for path in family.phases:
            yield from (_word(value) for value in values(live, path) if _word(value))
        return
    for name, value in mapping(live, "status").items():
        if not _names_phase(name):
            continue
        if isinstance(value, str) and value:
            yield value
        elif isinstance(value, Mapping):
            yield from _inner(value)


def _word(value: object) -> str:
    """A word, or a number that stands for one."""
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else ""


def _inner(value: Mapping[str, object]) -> Iterator[str]:
    """`health: {status: ...}`, `jobStatus: {state: ...}`."""
    for name in ("state", "phase", "status", "health"):
        found = value.get(name)
        if isinstance(found, str) and found:
            yield found


@lru_cache(maxsize=1024)
def _names_phase(name: str) -> bool:
    parts = tokens(name)
    return bool(parts) and parts[-1] in _FIELDS and parts[0] not in _NOT_NOW


def _read(word: str, kind: str, family: Family) -> HealthStatus | None:
    said = family.words.get(squash(word)) if family.words else None
    if said is not None:
        return said
    if squash(word) in _SERVING and (ends(kind) or recurs(kind)):
        return "Healthy" if recurs(kind) else "Progressing"
    return read(word)


@lru_cache(maxsize=1024)
def ends(kind: str) -> bool:
    """Whether objects of this kind do something once and are done, like a Job."""
    parts = tokens(kind)
    return bool(parts) and parts[-1] in _ENDING_KINDS and parts[0] not in {"cron", "scheduled"}


@lru_cache(maxsize=1024)
def recurs(kind: str) -> bool:
    """Whether objects of this kind are a schedule: like a CronJob, they work by existing."""
    parts = tokens(kind)
    return bool(_SCHEDULES & set(parts))


def failure_said(live: LiveObject) -> str:
    """An error that the status spells out, as of now."""
    status = mapping(live, "status")
    for name in ("failureMessage", "failureReason", "errorMessage", "error", "errors"):
        found = status.get(name)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, Mapping) and text(found, "message"):
            return text(found, "message")
        if isinstance(found, list) and found:
            first = found[0]
            return first if isinstance(first, str) else text(first, "message") or name
    return ""


def by_flags(live: LiveObject) -> Health | None:
    """`ready: true` and its like, where the status has neither conditions nor a phase."""
    for name, otherwise in _FLAGS:
        found = at(live, "status", name)
        if found is True:
            return Health("Healthy", explanation(live))
        if found is False:
            return Health(otherwise, explanation(live) or f"reports {name}: false")
    return None


_FLAGS: Final[tuple[tuple[str, HealthStatus], ...]] = (
    ("ready", "Progressing"),
    ("readyToUse", "Progressing"),
    ("healthy", "Degraded"),
    ("available", "Progressing"),
    ("valid", "Degraded"),
    ("success", "Degraded"),
    ("succeeded", "Progressing"),
    ("completed", "Progressing"),
    ("installed", "Progressing"),
    ("applied", "Progressing"),
    ("created", "Progressing"),
    ("synced", "Progressing"),
    ("initialized", "Progressing"),
    ("provisioned", "Progressing"),
)


def by_counts(live: LiveObject, family: Family) -> Health | None:
    """The numbers that are wanted against those that are there; None if it counts none."""
    said: Health | None = None
    for wanted_at, found_at in (*_COUNTS, *family.counts):
        wanted, found = _sum(live, wanted_at), _sum(live, found_at) or 0
        if wanted is None:
            continue
        said = Health("Healthy" if found >= wanted else "Progressing", f"{found} of {wanted} ready")
        if found < wanted:
            break
    return said


_COUNTS: Final = (
    ("status.desiredNumberScheduled", "status.updatedNumberScheduled"),
    ("status.desiredNumberScheduled", "status.numberAvailable"),
)


def _sum(live: LiveObject, path: str) -> int | None:
    numbers = [one for one in values(live, path) if isinstance(one, int)]
    return sum(numbers) if numbers else None


def by_replicas(live: LiveObject) -> Health | None:
    """The replicas it asks for against those that work; None if it counts none."""
    status = mapping(live, "status")
    wanted = at(live, "spec", "replicas")
    if not isinstance(wanted, int):
        wanted = status.get("replicas")
    if not isinstance(wanted, int):
        return None
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        found = status.get(name)
        if isinstance(found, int) and found < wanted:
            what = name.removesuffix("Replicas")
            return Health("Progressing", f"{found} of {wanted} replicas are {what}")
    counted = any(isinstance(status.get(n), int) for n in ("readyReplicas", "availableReplicas"))
    if not counted and wanted > 0:
        return None
    return Health("Healthy", f"{wanted} of {wanted} replicas are ready")


def nested_conditions(live: LiveObject, family: Family) -> Iterator[list[LiveObject]]:
    """Every list of conditions: the object's own, and those of its parts."""
    status = mapping(live, "status")
    yield objects(status, "conditions")
    for name in _WITH_CONDITIONS & status.keys():
        for part in objects(status, name):
            yield objects(part, "conditions")
    for path in family.conditions:
        for found in values(live, path):
            yield objects({"conditions": found}, "conditions")
