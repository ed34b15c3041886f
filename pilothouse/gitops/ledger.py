"""What an environment remembers, as pure transitions of one state.

The entity workflow calls these; they are tested without a server. Times are aware datetimes given
by the caller.
"""

from datetime import datetime, timedelta

from pilothouse.models.environment import (
    EnvironmentState,
    Hold,
    LockAnswer,
    LockRequest,
    Release,
)
from pilothouse.models.names import short

MAX_RELEASES = 50
MAX_NOTICES = 20
MAX_QUEUE = 100
MAX_GOOD = 10
"""How far back a rollback can go by itself; further back a person names the revision."""
_STRENGTH = ("rollback", "manual", "frozen")


def note(state: EnvironmentState, text: str) -> EnvironmentState:
    """Add a line for people; the last twenty are kept."""
    return state.model_copy(update={"notices": (*state.notices, text)[-MAX_NOTICES:]})


def enqueue(state: EnvironmentState, request: LockRequest) -> EnvironmentState:
    """Queue a lock request once; a rollback goes before everything that is not one."""
    known = {waiting.holder for waiting in state.queue}
    known |= {each.holder for each in (state.holder, state.lender) if each is not None}
    if request.holder in known:
        return state
    if len(state.queue) >= MAX_QUEUE and not request.rollback:
        return note(state, f"the queue is full: {request.holder} was not queued")
    urgent = [waiting for waiting in state.queue if waiting.rollback]
    others = [waiting for waiting in state.queue if not waiting.rollback]
    (urgent if request.rollback else others).append(request)
    return state.model_copy(update={"queue": (*urgent, *others)})


def renew(state: EnvironmentState, holder: str, now: datetime) -> EnvironmentState:
    """Extend the lease of the holder; a stranger's renewal changes nothing."""
    if state.holder is None or state.holder.holder != holder:
        return state
    return state.model_copy(update={"expires_at": _expiry(state.holder, now)})


def release(state: EnvironmentState, holder: str, wrote: str = "") -> EnvironmentState:
    """Free the lock if it is this holder's, and forget its place in the queue.

    What a lease had lent goes back to it, unless it has ended meanwhile.

    Args:
        state: before.
        holder: workflow id.
        wrote: the revision that the holder began to write last, whatever became of it.
    """
    queue = tuple(waiting for waiting in state.queue if waiting.holder != holder)
    update: dict[str, object] = {"queue": queue}
    if state.holder is not None and state.holder.holder == holder:
        back = state.lender
        update |= {
            "holder": back,
            "lender": None,
            "expires_at": state.expires_at if back is not None else "",
            "current": wrote or state.current,
        }
    elif state.lender is not None and state.lender.holder == holder:
        update["lender"] = None
    return state.model_copy(update=update)


def next_in_line(state: EnvironmentState) -> LockRequest | None:
    """Whose request is to be answered now; None while all of them wait for the holder.

    A lease that holds the lock lends it to what was asked for in its name. A deployment never does:
    it writes.
    """
    holder = state.holder
    if holder is None:
        return next(iter(state.queue), None)
    if holder.writes:
        return None
    return next((each for each in state.queue if each.under == holder.holder), None)


def answer_next(
    state: EnvironmentState, now: datetime
) -> tuple[EnvironmentState, LockRequest, LockAnswer]:
    """Answer whose turn it is: grant with the next fencing number, or refuse.

    There must be somebody next in line.
    """
    request = next_in_line(state)
    assert request is not None, "nobody is next in line"
    rest = tuple(each for each in state.queue if each is not request)
    state = state.model_copy(update={"queue": rest})
    if reason := refusal(state, request):
        answer = LockAnswer(granted=False, reason=reason, hold=state.hold)
        return note(state, f"refused {request.holder}: {reason}"), request, answer
    if request.forced and (bad := _known_bad(state, request)):
        state = note(state, f"{bad}; forced by {request.forced}")
    fencing = max(state.fencing, request.seen_fencing) + 1
    granted = state.model_copy(
        update={
            "fencing": fencing,
            "holder": request,
            "lender": state.holder,
            "expires_at": _expiry(request, now),
        }
    )
    answer = LockAnswer(
        granted=True,
        fencing=fencing,
        last_good=state.last_good,
        good=tuple(past for past in state.releases if _is_good(past))[-MAX_GOOD:],
        current=state.current,
        hold=state.hold,
        owner=state.owner,
    )
    return granted, request, answer


def refusal(state: EnvironmentState, request: LockRequest) -> str:
    """Why a request is refused; empty if it may have the lock."""
    hold = state.hold
    if hold is not None and hold.kind == "frozen":
        return f"frozen since {hold.since}: {hold.reason}; a person must resume"
    if request.rollback:
        return ""
    if hold is not None and hold.kind == "manual":
        return f"on hold since {hold.since} by {hold.by}: {hold.reason}"
    bad = _known_bad(state, request) if request.writes and not request.forced else ""
    return f"{bad}; push a fix, resume the environment, or force it" if bad else ""


def _known_bad(state: EnvironmentState, request: LockRequest) -> str:
    """Why the newest word on this revision, or on the same plan under another, is a bad one."""
    for past in reversed(state.releases):
        if past.revision == request.revision or (request.plan and past.plan == request.plan):
            if past.outcome == "good":
                return ""
            same = "" if past.revision == request.revision else f" (as {short(past.revision)})"
            return f"{short(request.revision)} is known to be bad here{same}: {past.reason}"
    return ""


def record(state: EnvironmentState, entry: Release, lift_rollback_hold: bool) -> EnvironmentState:
    """Remember how a revision did here; the newest word on a revision counts."""
    others = [past for past in state.releases if past.revision != entry.revision]
    update: dict[str, object] = {"releases": (*others, entry)[-MAX_RELEASES:]}
    if entry.outcome == "good":
        if state.last_good is None or state.last_good.revision != entry.revision:
            update["correcting_stopped"] = ""
        update["last_good"] = entry
    elif state.last_good is not None and state.last_good.revision == entry.revision:
        # It passed every check, and a person calls it bad all the same.
        update["last_good"] = next((past for past in reversed(others) if _is_good(past)), None)
    state = state.model_copy(update=update)
    if lift_rollback_hold and state.hold is not None and state.hold.kind == "rollback":
        lifted = f"{short(entry.revision)} is healthy: the hold after {state.hold.reason} is lifted"
        return note(state.model_copy(update={"hold": None}), lifted)
    return state


def hold(state: EnvironmentState, wanted: Hold) -> EnvironmentState:
    """Pause automation; a freeze is never weakened, a person's hold never to a rollback's.

    The revision that is held responsible stays so: to resume forgives it.
    """
    present = state.hold
    if present is not None and _STRENGTH.index(wanted.kind) < _STRENGTH.index(present.kind):
        return note(state, f"still {present.kind}; also: {wanted.reason}")
    if present is not None and not wanted.bad_revision:
        wanted = wanted.model_copy(update={"bad_revision": present.bad_revision})
    return state.model_copy(update={"hold": wanted})


def resume(state: EnvironmentState, by: str, reason: str) -> EnvironmentState:
    """End the hold; what caused it is forgiven, under any commit id, and may be tried again.

    Correcting drift goes on as well.
    """
    if state.hold is None and not state.correcting_stopped:
        return note(state, f"resume by {by}: there is no hold")
    bad = state.hold.bad_revision if state.hold is not None else ""
    plans = {past.plan for past in state.releases if past.revision == bad}
    update = {
        "hold": None,
        "correcting_stopped": "",
        "corrections": (),
        "releases": tuple(p for p in state.releases if p.outcome == "good" or p.plan not in plans),
    }
    return note(state.model_copy(update=update), f"resumed by {by}: {reason}")


def _is_good(past: Release) -> bool:
    return past.outcome == "good"


def _expiry(request: LockRequest, now: datetime) -> str:
    return (now + timedelta(seconds=request.lease_seconds)).isoformat()
