"""Whether drift that was seen is put back, as a pure decision on an environment's state.

Whoever else writes a field will write it again. So the same field is put back three times within an
hour, with growing pauses, and then left to a person: two controllers never fight for ever.
"""

from datetime import datetime, timedelta
from typing import Final

from pilothouse.gitops.ledger import note
from pilothouse.models.environment import Correction, EnvironmentState, Observation, Release

WITHIN: Final = timedelta(hours=1)
MAX_SAME: Final = 3
"""Corrections of the same field within an hour."""
MAX_ALTOGETHER: Final = 12
"""Corrections within an hour, whatever they put back."""
FIRST_PAUSE: Final = timedelta(minutes=1)
"""After the first correction of a field; doubled after each one more."""
KEPT: Final = 20


def observe(
    state: EnvironmentState, seen: Observation, now: datetime
) -> tuple[EnvironmentState, Release | None]:
    """Keep the look; decide whether the last good release is deployed again.

    Returns:
        The state, and the release to put back; None if nothing is to be done, or not now.
    """
    state = state.model_copy(update={"observation": seen})
    release = _deployed(state, seen)
    if release is None or not seen.correct or not seen.differences or _is_paused(state):
        return state, None
    recent = [past for past in state.corrections if now - _at(past) < WITHIN]
    same = [past for past in recent if set(past.differences) & set(seen.differences)]
    if len(same) >= MAX_SAME or len(recent) >= MAX_ALTOGETHER:
        return _stopped(state, seen, len(same) >= MAX_SAME), None
    if same and now - _at(same[-1]) < FIRST_PAUSE * 2 ** (len(same) - 1):
        return state, None
    correction = Correction(
        at=now.isoformat(), revision=release.revision, differences=seen.differences
    )
    kept = (*state.corrections, correction)[-KEPT:]
    return state.model_copy(update={"corrections": kept}), release


def _deployed(state: EnvironmentState, seen: Observation) -> Release | None:
    """The last good release, if it is what was looked at and can be put back as it was."""
    good = state.last_good
    if good is None or good.bundle is None or good.revision != seen.revision:
        return None
    return good if state.current in {"", good.revision} else None


def _is_paused(state: EnvironmentState) -> bool:
    """Whether people, or a deployment in flight, have the word."""
    busy = state.holder is not None or bool(state.queue)
    return busy or state.hold is not None or bool(state.correcting_stopped)


def _stopped(state: EnvironmentState, seen: Observation, same: bool) -> EnvironmentState:
    count = MAX_SAME if same else MAX_ALTOGETHER
    fields = ", ".join(seen.differences[:3])
    why = (
        f"{count} corrections within an hour did not last: {fields}. Something else writes there: "
        "give it the field with an ignore rule, or stop it, then resume"
    )
    return note(state.model_copy(update={"correcting_stopped": why}), why)


def _at(correction: Correction) -> datetime:
    return datetime.fromisoformat(correction.at)
