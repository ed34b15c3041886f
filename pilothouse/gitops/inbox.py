"""What a repository remembers, as pure transitions of one state."""

from pilothouse.models.repository import OwnCommit, RepositoryEvent
from pilothouse.models.runs import RepositoryState, RunFinished, RunRecord

MAX_DELIVERIES = 500
MAX_RUNS = 50
MAX_OWN_COMMITS = 200
MAX_HEADS = 200
MAX_NOTICES = 20
MAX_PENDING = 500

KNOWN_HEAD = "its head was evaluated already"
OWN_COMMIT = "a commit of ours starts no run"


def note(state: RepositoryState, text: str) -> RepositoryState:
    """Add a line for people; the last twenty are kept, a repeated one once."""
    if state.notices and state.notices[-1] == text:
        return state
    return state.model_copy(update={"notices": (*state.notices, text)[-MAX_NOTICES:]})


def is_look(event: RepositoryEvent) -> bool:
    """Whether we looked by ourselves, without being told."""
    return event.kind == "push" and not event.delivery


def enqueue(state: RepositoryState, event: RepositoryEvent) -> RepositoryState:
    """Take an event; the same delivery, and the same ref while it still waits, only once.

    Events are hints to read a head, so one that waits already stands for all of its ref. The last
    word on a ref counts: opened, closed, opened again stay three events, in this order.
    """
    if event.delivery and event.delivery in state.deliveries:
        return state
    # The first may be in work already: its head may have been read before this event came.
    before = next((past for past in reversed(state.pending[1:]) if past.ref == event.ref), None)
    stands_for_it = before is not None and _says(before) == _says(event)
    if not stands_for_it:
        if len(state.pending) >= MAX_PENDING:
            # Its delivery is not remembered: sent again, it is taken.
            return note(state, f"too many events wait: {event.ref} was left to the next look")
        state = state.model_copy(update={"pending": (*state.pending, event)})
    if not event.delivery:
        return state
    deliveries = (*state.deliveries, event.delivery)[-MAX_DELIVERIES:]
    return state.model_copy(update={"deliveries": deliveries})


def _says(event: RepositoryEvent) -> tuple[str, int, str, bool]:
    """What an event says of its ref, apart from who delivered it."""
    return event.kind, event.number, event.base_ref, event.closed


def done(state: RepositoryState, event: RepositoryEvent) -> RepositoryState:
    """Take the handled event, the first, out of the queue."""
    if not state.pending or state.pending[0] != event:
        return state
    return state.model_copy(update={"pending": state.pending[1:]})


def reason_to_skip(state: RepositoryState, event: RepositoryEvent, revision: str) -> str:
    """Why a head starts no run; empty if it does."""
    if state.heads.get(event.ref) == revision:
        return KNOWN_HEAD
    if any(own.revision == revision for own in state.own_commits):
        return OWN_COMMIT
    return ""


def saw(state: RepositoryState, ref: str, revision: str) -> RepositoryState:
    """Remember where a ref was; the refs touched last are kept."""
    heads = {known: head for known, head in state.heads.items() if known != ref}
    heads[ref] = revision
    return state.model_copy(update={"heads": dict(list(heads.items())[-MAX_HEADS:])})


def own(state: RepositoryState, commit: OwnCommit) -> RepositoryState:
    """Remember a commit that we are about to push."""
    if commit in state.own_commits:
        return state
    return state.model_copy(update={"own_commits": (*state.own_commits, commit)[-MAX_OWN_COMMITS:]})


def started(state: RepositoryState, run: str, ref: str, revision: str) -> RepositoryState:
    """Remember a run."""
    record = RunRecord(run=run, ref=ref, revision=revision)
    return state.model_copy(update={"runs": (*state.runs, record)[-MAX_RUNS:]})


def finished(state: RepositoryState, end: RunFinished) -> RepositoryState:
    """Remember how a run ended; a run that we do not know is ignored."""
    runs = tuple(
        run.model_copy(update={"outcome": end.outcome}) if run.run == end.run else run
        for run in state.runs
    )
    return state.model_copy(update={"runs": runs})


def running_on(state: RepositoryState, ref: str, head: str = "") -> tuple[RunRecord, ...]:
    """The runs of a ref that have not told their end, but for the one that made its head."""
    makers = {own.run for own in state.own_commits if own.revision == head}
    return tuple(
        run
        for run in state.runs
        if run.ref == ref and run.outcome == "running" and run.run not in makers
    )
