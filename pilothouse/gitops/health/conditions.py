"""Conditions: what each type means when it is true, and what all of them say together."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from pilothouse.gitops.health.families.family import Family, Meaning
from pilothouse.gitops.health.fields import LiveObject, at, text
from pilothouse.gitops.health.verdict import GRAVITY, Health
from pilothouse.gitops.health.words import (
    is_gerund,
    names_failure,
    read,
    read_message,
    squash,
    tokens,
    vocabulary,
)
from pilothouse.models.health import HealthStatus

_SUMMARIES: Final = vocabulary(
    "ready healthy available succeeded success successful complete completed synced accepted"
    " programmed resolvedrefs valid installed reconciled reconcilesuccess deployed established"
    " admitted released active updated uptodate applied"
)
_PARTS: Final = vocabulary(
    "ready available healthy accepted succeeded success successful complete completed installed"
    " synced configured deployed valid validated established bound reconciled admitted programmed"
    " applied created initialized initialised satisfied provisioned active running online"
    " scheduled generated released published connected registered propagated uptodate resolved"
    " synchronized synchronised reconcile reachable enforced loaded verified"
    " authenticated authorized sufficient provided promoted attached issued approved uploaded"
    " mounted exposed assigned allocated joined imported granted met passed launched elected"
)
_FAILURES: Final = vocabulary(
    "error errors errored erroroccurred failed failure failures degraded stalled invalid unhealthy"
    " conflict conflicts conflicted rejected exceeded missing blocked unavailable expired orphan"
    " orphaned aborted unreachable unschedulable broken crashlooping misconfigured"
    " lost"
)
_FAILING: Final = frozenset(("failed", "has", "error", "invalid", "unhealthy"))
_ACTIVITIES: Final = frozenset(("pending", "inprogress", "rollingupdate", "rollingout"))
_PAUSES: Final = frozenset((
    "paused",
    "suspended",
    "hibernated",
    "hibernation",
    "stopped",
    "disabled",
))


class Condition(NamedTuple):
    """One condition, read."""

    kind: str
    meaning: Meaning
    status: str
    reason: str
    message: str
    severity: str
    observed: object

    @property
    def words(self) -> str:
        """What it says to people."""
        return self.message or self.reason or self.kind


@lru_cache(maxsize=2048)
def meaning_of(kind: str) -> tuple[Meaning, bool]:
    """What a condition type means when it is true, and whether its name negates that.

    `NotReady` is `Ready` the other way round.
    """
    name = kind.rpartition("/")[2]
    whole = squash(name)
    parts = tokens(name)
    if not parts:
        return "unread", False
    if parts[0] in {"not", "non"} and len(parts) > 1:
        return meaning_of(name[len(parts[0]) :])[0], True
    if parts[0] in {"no", "without"}:
        return "unread", False
    return _plain_meaning(whole, parts), False


def _plain_meaning(whole: str, parts: tuple[str, ...]) -> Meaning:
    last = parts[-1]
    pair = "".join(parts[-2:])
    if whole in _SUMMARIES:
        return "summary"
    if whole in _FAILURES or last in _FAILURES or parts[0] in _FAILING:
        return "failure" if parts[0] != "has" or last in _FAILURES else "unread"
    if last in _PAUSES or parts[0] in _PAUSES:
        return "pause"
    if last in _ACTIVITIES or pair in _ACTIVITIES or parts[0] == "pending" or is_gerund(last):
        return "activity"
    # `ResourcesUpToDate`: three words, one meaning.
    if last in _PARTS or pair in _PARTS or "".join(parts[-3:]) in _PARTS:
        return "part"
    return "unread"


def read_conditions(items: Iterable[LiveObject], family: Family) -> list[Condition]:
    """The conditions of one list, as the family means them; the last one of a type counts."""
    latest = {text(item, "type"): item for item in items}
    return [_condition(kind, item, family) for kind, item in latest.items()]


def _condition(kind: str, item: LiveObject, family: Family) -> Condition:
    meaning, negated = family.meanings.get(kind) or meaning_of(kind)
    status = text(item, "status")
    if negated:
        status = {"True": "False", "False": "True"}.get(status, status)
    return Condition(
        kind=kind,
        meaning=meaning,
        status=status,
        reason=text(item, "reason"),
        message=text(item, "message"),
        severity=text(item, "severity"),
        observed=at(item, "observedGeneration"),
    )


def judge(
    found: Sequence[Condition], family: Family, generation: int, *, ends: bool = False
) -> Health | None:
    """What all conditions of an object say together.

    Args:
        found: the conditions, read.
        family: how they differ from the conventions.
        generation: of the object; a summary about an older one says nothing.
        ends: the object does something once, like a Job: that it runs is not yet good news.

    Returns:
        None if none of them can be read.
    """
    telling = [one for one in found if one.meaning not in {"none", "unread"}]
    stale = _stale(telling, generation)
    if stale:
        return Health("Progressing", f"condition {stale} is about an older generation")
    missing = next((k for k in family.summary if all(one.kind != k for one in telling)), "")
    if missing and found:
        return _worst([*_verdicts(telling, family), Health("Progressing", f"no {missing} yet")])
    verdicts = _verdicts(telling, family)
    if not _vouched(telling, family, ends=ends):
        verdicts += _parts(telling, family, done=bool(verdicts), ends=ends)
        verdicts += [Health("Degraded", one.words) for one in found if _complains(one)]
    if not verdicts and found and len(telling) == len(found):
        return Health("Healthy", "reports none of the problems that it knows")
    return _worst(verdicts)


def _complains(condition: Condition) -> bool:
    """Whether a condition of a type that we cannot read, true or false, speaks of a failure."""
    return condition.meaning == "unread" and read(condition.reason) == "Degraded"


def _worst(verdicts: Sequence[Health]) -> Health | None:
    return max(verdicts, key=lambda verdict: GRAVITY[verdict.status], default=None)


def _stale(found: Sequence[Condition], generation: int) -> str:
    """The type of a condition about an older spec; it says nothing about this one."""
    for one in found:
        if one.meaning == "summary" and isinstance(one.observed, int) and one.observed < generation:
            return one.kind
    return ""


def _vouched(found: Sequence[Condition], family: Family, *, ends: bool) -> bool:
    """Whether a condition vouches for the parts: then what they say of themselves is detail."""
    names = family.summary or ("Ready",)
    true = [one for one in found if one.status == "True"]
    return any(one.kind in names or (ends and one.meaning == "summary") for one in true)


def _verdicts(found: Sequence[Condition], family: Family) -> list[Health]:
    """What each condition that speaks for the whole says."""
    activities = [_activity(one, family) for one in found if one.meaning == "activity"]
    going_on = any(one is not None and one.status == "Progressing" for one in activities)
    verdicts = [one for one in activities if one is not None]
    for condition in found:
        true = condition.status == "True"
        if condition.meaning == "summary":
            verdicts.append(_kept(condition) if true else _not_true(condition, family, going_on))
        elif condition.meaning == "failure" and true:
            said = _said(condition, family)
            bad = said if said is not None and said != "Healthy" else "Degraded"
            verdicts.append(Health(bad, condition.words))
        elif condition.meaning == "pause" and true:
            verdicts.append(Health("Suspended", condition.words))
    return verdicts


def _kept(condition: Condition) -> Health:
    """A promise that is kept, unless its reason says how it ended: `Complete`, `JobFailed`."""
    failed = read(condition.reason) == "Degraded"
    return Health("Degraded" if failed else "Healthy", condition.message)


def _parts(found: Sequence[Condition], family: Family, *, done: bool, ends: bool) -> list[Health]:
    """What the conditions about parts say: any that is false spoils the whole."""
    verdicts: list[Health] = []
    for condition in found:
        if condition.meaning != "part":
            continue
        if condition.status != "True":
            verdicts.append(_not_true(condition, family))
        elif squash(condition.reason) == "running" or (ends and not done):
            # Ansible's operators say `Running: True` for good, and in the reason what they do.
            verdicts.append(Health("Progressing", condition.words))
        else:
            verdicts.append(Health("Healthy", condition.message))
    return verdicts


def _activity(condition: Condition, family: Family) -> Health | None:
    """Something goes on, unless its reason says that it has ended, well or badly."""
    said = _said(condition, family) or read(condition.reason)
    if said == "Degraded" or (said == "Suspended" and condition.status != "False"):
        return Health(said, condition.words)
    if condition.status == "True" and said != "Healthy":
        return Health("Progressing", condition.words)
    if condition.status == "Unknown":
        return Health("Progressing", condition.words)
    return None


def _said(condition: Condition, family: Family) -> HealthStatus | None:
    """What the family's documentation says about this reason."""
    return family.words.get(squash(condition.reason)) if family.words else None


def _not_true(condition: Condition, family: Family, going_on: bool = False) -> Health:
    """A promise that is not kept: is it broken, or not kept yet?"""
    said = _said(condition, family)
    if said is not None and said != "Healthy":  # No good reason makes a broken promise good.
        return Health(said, condition.words)
    if condition.status not in {"False", "Unknown"}:
        # Against the conventions, a word of its own: `Available: Degraded`.
        return Health(read(condition.status) or "Degraded", condition.words)
    if condition.severity:
        bad = condition.severity == "Error"
        return Health("Degraded" if bad else "Progressing", condition.words)
    if condition.status == "False" and names_failure(condition.message):
        return Health("Degraded", condition.words)
    for verdict in (read(condition.reason), read_message(condition.message)):
        if verdict in {"Degraded", "Progressing", "Suspended"}:
            if condition.status == "Unknown" and verdict == "Degraded":
                continue
            return Health(verdict, condition.words)
    if going_on or condition.status == "Unknown":
        return Health("Progressing", condition.words)
    silent = not condition.reason and not condition.message
    return Health(family.false or ("Progressing" if silent else "Degraded"), condition.words)
