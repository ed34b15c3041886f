"""Health of kinds that we do not know, by the conventions that controllers share.

The order follows kstatus (observed generation, `Reconciling`, `Stalled`, `Ready`), then the
conditions and phase words that operators use instead. What none of the rules understands is
`Unknown` or `Progressing`, never `Healthy`.
"""

from collections.abc import Iterable, Set
from typing import Final

from pilothouse.gitops.health.fields import (
    LiveObject,
    at,
    conditions,
    generation_observed,
    mapping,
    text,
)
from pilothouse.gitops.health.verdict import HEALTHY, Health
from pilothouse.models.health import HealthStatus

_SUMMARIES: Final = (
    "Ready", "Healthy", "Available", "Installed", "Succeeded", "Completed", "Synced", "Accepted",
)  # fmt: skip
"""Condition types that sum up the others, the strongest statement first."""
_FAILURES: Final = frozenset({"Failed", "Failure", "Stalled", "Degraded", "Errored", "Orphan"})
"""Condition types that are bad news when they are true."""
_ACTIVITIES: Final = frozenset({
    "Reconciling",
    "Progressing",
    "Updating",
    "Creating",
    "Deploying",
    "Waiting",
})
_PHASE_FIELDS: Final = (
    ("phase",),
    ("state",),
    ("health",),
    ("health", "status"),
    ("healthStatus",),
    ("status",),
    ("status", "state"),
    ("applicationState", "state"),
    ("code",),
)


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_WORDS: Final[dict[HealthStatus, frozenset[str]]] = {
    "Healthy": _words(
        "active applied available bound complete completed created green healthy installed ok"
        " online passed provisioned ready reconciled running started succeeded success"
        " successful synced up upgraded valid working"
    ),
    "Progressing": _words(
        "accepted applying bootstrapping building configuring creating deploying expanding"
        " inprogress initializing installing new pending pendingrollback preparing progressing"
        " provisioning queued reconciling recreating restarting scaling scheduling starting"
        " submitted syncing updating upgrading waiting yellow"
    ),
    "Degraded": _words(
        "aborted conflict critical degraded error errored expired failed failure"
        " inconclusive invalid lost red rejected stalled timedout unavailable"
    ),
    "Suspended": _words("hibernated paused stopped suspended"),
}

_GRAVITY: Final[tuple[HealthStatus, ...]] = (
    "Healthy",
    "Unknown",
    "Progressing",
    "Suspended",
    "Degraded",
)
"""Which of several words to believe: an unreadable one spoils good news, and no more."""


def custom_resource(live: LiveObject) -> Health:
    """Judge an object of an unknown kind by what it reports about itself."""
    if not mapping(live, "status"):
        return Health("Progressing", "has reported no status yet")
    if not generation_observed(live):
        return Health("Progressing", "the controller has not seen the latest spec yet")
    if at(live, "spec", "suspend") is True or at(live, "spec", "paused") is True:
        return Health("Suspended", "is suspended by its spec")
    return _by_conditions(live) or _by_phase(live) or _unreadable(live)


def reports_nothing(live: LiveObject) -> bool:
    """Whether it has no status at all, so that waiting may never tell more."""
    return not mapping(live, "status")


def _by_conditions(live: LiveObject) -> Health | None:
    found = conditions(live)
    true = [kind for kind in sorted(found) if text(found[kind], "status") == "True"]
    return (
        _first(found, filter(_is_bad_news, true), "Degraded")
        or _first(found, _among(true, {"Reconciling"}), "Progressing")
        or _stale(live, found)
        or _first(found, _among(true, {"Paused", "Suspended"}), "Suspended")
        or _summed_up(found)
        or _first(found, _among(true, _ACTIVITIES), "Progressing")
    )


def _first(
    found: dict[str, LiveObject], kinds: Iterable[str], status: HealthStatus
) -> Health | None:
    """The verdict of the first of these conditions; None if there is none."""
    return next((Health(status, _message(found[kind])) for kind in kinds), None)


def _among(kinds: Iterable[str], wanted: Set[str]) -> Iterable[str]:
    return (kind for kind in kinds if kind in wanted)


def _summed_up(found: dict[str, LiveObject]) -> Health | None:
    """Healthy if every condition that sums up others is true; None if there is none."""
    summaries = [found[kind] for kind in _SUMMARIES if kind in found]
    for condition in summaries:
        if text(condition, "status") != "True":
            return _not_true(condition)
    return HEALTHY if summaries else None


def _is_bad_news(kind: str) -> bool:
    """Whether a condition of this type says that something is wrong when it is true."""
    return kind in _FAILURES or kind.endswith(("Error", "Failed", "Failure", "Invalid"))


def _stale(live: LiveObject, found: dict[str, LiveObject]) -> Health | None:
    """A condition about an older generation says nothing about this one."""
    generation = at(live, "metadata", "generation")
    for kind in _SUMMARIES:
        observed = at(found.get(kind), "observedGeneration")
        if isinstance(observed, int) and isinstance(generation, int) and observed < generation:
            return Health("Progressing", f"condition {kind} is about an older generation")
    return None


def _not_true(condition: LiveObject) -> Health:
    """A summary that is false is a failure only if its reason says so."""
    words = f"{text(condition, 'reason')} {text(condition, 'message')}".lower()
    failed = any(word in words for word in ("fail", "error", "invalid", "denied", "not found"))
    if text(condition, "status") == "False" and failed:
        return Health("Degraded", _message(condition))
    return Health("Progressing", _message(condition))


def _by_phase(live: LiveObject) -> Health | None:
    """The worst of all the words in which it names its phase; one we cannot read is no good news.

    Returns:
        None if it names no phase at all.
    """
    status = mapping(live, "status")
    said = [word for path in _PHASE_FIELDS if (word := text(status, *path))]
    if not said:
        return None
    verdicts = [(_read(word), word) for word in said]
    verdict, word = max(verdicts, key=lambda pair: _GRAVITY.index(pair[0]))
    message = text(status, "message") or text(status, "reason")
    return Health(verdict, message or f"reports {word}")


def _read(phase: str) -> HealthStatus:
    """What one word for a phase means, by the word itself or by its form."""
    word = "".join(letter for letter in phase.lower() if letter.isalnum())
    for verdict, words in _WORDS.items():
        if word in words:
            return verdict
    if any(sign in word for sign in ("fail", "error", "invalid", "denied", "unhealthy")):
        return "Degraded"
    # English says what goes on in the gerund: `ApplyingChanges`, `MigratingData`.
    return "Progressing" if "ing" in word else "Unknown"


def _unreadable(live: LiveObject) -> Health:
    """It says something, in words of its own: a person must read it."""
    if conditions(live):
        return Health("Unknown", "its conditions follow no convention that we know")
    if at(live, "status", "conditions") is not None:
        return Health("Progressing", "has reported no condition yet")
    if at(live, "status", "observedGeneration") is not None:
        return Health("Healthy", "its controller has seen the latest spec and reports no problem")
    return Health("Unknown", "its status follows no convention that we know")


def _message(condition: LiveObject) -> str:
    return text(condition, "message") or text(condition, "reason") or text(condition, "type")
