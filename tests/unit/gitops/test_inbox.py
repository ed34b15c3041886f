"""A repository's inbox: every event is handled, none twice, the last word on a ref counts."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pilothouse.gitops import inbox
from pilothouse.models.repository import OwnCommit, RepositoryEvent
from pilothouse.models.runs import RepositoryState, RunFinished

MAIN = "refs/heads/main"
REVISIONS = [letter * 40 for letter in "abcdef"]
PULLS = [f"refs/pull/{number}/head" for number in (1, 2)]


def push(delivery: str = "") -> RepositoryEvent:
    return RepositoryEvent(kind="push", ref=MAIN, delivery=delivery)


def pull(
    number: int, delivery: str = "", *, closed: bool = False, base: str = MAIN
) -> RepositoryEvent:
    return RepositoryEvent(
        kind="pull_request",
        ref=f"refs/pull/{number}/head",
        number=number,
        delivery=delivery,
        closed=closed,
        base_ref=base,
    )


class Inbox(RuleBasedStateMachine):
    """A forge that repeats, reorders and closes, and a workflow that works on the first event.

    The model keeps for each ref whether something came after the work on it began: if so, it must
    be handled again, and what is handled last must be what came last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = RepositoryState()
        self.last: dict[str, RepositoryEvent] = {}
        self.handled: dict[str, RepositoryEvent] = {}
        self.untold: set[str] = set()
        self.working = False

    @rule(
        ref=st.sampled_from([0, 1, 2]),
        delivery=st.sampled_from(["", *(f"d{number}" for number in range(8))]),
        closed=st.booleans(),
        base=st.sampled_from([MAIN, "refs/heads/next"]),
    )
    def come(self, ref: int, delivery: str, closed: bool, base: str) -> None:
        event = pull(ref, delivery, closed=closed, base=base) if ref else push(delivery)
        repeated = bool(delivery) and delivery in self.state.deliveries
        before = self.state
        self.state = inbox.enqueue(self.state, event)
        if repeated:
            assert self.state == before
            return
        self.last[event.ref] = event
        self.untold.add(event.ref)

    @precondition(lambda self: self.state.pending and not self.working)
    @rule()
    def begin(self) -> None:
        """The workflow reads the head that the first event hints at."""
        self.working = True
        first = self.state.pending[0]
        if not any(later.ref == first.ref for later in self.state.pending[1:]):
            self.untold.discard(first.ref)

    @precondition(lambda self: self.working)
    @rule()
    def end(self) -> None:
        first = self.state.pending[0]
        self.handled[first.ref] = first
        self.state = inbox.done(self.state, first)
        self.working = False

    @invariant()
    def what_nobody_looked_at_since_it_came_still_waits(self) -> None:
        waiting = self.state.pending[1:] if self.working else self.state.pending
        assert self.untold <= {event.ref for event in waiting}

    @invariant()
    def the_last_word_on_a_ref_is_the_last_that_waits_or_was_handled(self) -> None:
        for ref, last in self.last.items():
            waiting = [event for event in self.state.pending if event.ref == ref]
            word = waiting[-1] if waiting else self.handled[ref]
            assert (word.closed, word.base_ref) == (last.closed, last.base_ref)

    @invariant()
    def what_waits_is_bounded_by_what_can_be_said(self) -> None:
        for first, second in zip(self.state.pending[1:], self.state.pending[2:], strict=False):
            assert first.model_dump(exclude={"delivery"}) != second.model_dump(exclude={"delivery"})


Inbox.TestCase.settings = settings(max_examples=80, stateful_step_count=40)
TestInbox = Inbox.TestCase


def test_the_same_delivery_counts_once_even_after_it_was_handled() -> None:
    state = inbox.enqueue(RepositoryState(), push("1"))
    state = inbox.done(state, state.pending[0])
    assert inbox.enqueue(state, push("1")) == state


def test_an_event_that_comes_while_its_ref_is_in_work_waits() -> None:
    state = inbox.enqueue(RepositoryState(), push("1"))
    state = inbox.enqueue(state, push("2"))
    assert len(state.pending) == 2
    assert len(inbox.enqueue(state, push("3")).pending) == 2


def test_opened_closed_and_opened_again_stay_three_events() -> None:
    state = RepositoryState()
    for number, closed in enumerate((False, True, False, True), start=1):
        state = inbox.enqueue(state, pull(7, str(number), closed=closed))
    assert [event.closed for event in state.pending] == [False, True, False, True]


def test_a_pull_request_that_changes_its_base_is_looked_at_again() -> None:
    state = inbox.enqueue(RepositoryState(), push("0"))
    state = inbox.enqueue(state, pull(7, "1"))
    state = inbox.enqueue(state, pull(7, "2", base="refs/heads/next"))
    assert [event.base_ref for event in state.pending[1:]] == [MAIN, "refs/heads/next"]


def test_what_a_full_inbox_left_out_is_taken_when_it_is_sent_again() -> None:
    state = RepositoryState()
    for number in range(1, inbox.MAX_PENDING + 1):
        state = inbox.enqueue(state, pull(number, str(number)))
    full = inbox.enqueue(state, push("late"))
    assert full.pending == state.pending
    assert f"{MAIN} was left to the next look" in full.notices[-1]
    drained = inbox.done(full, full.pending[0])
    assert inbox.enqueue(drained, push("late")).pending[-1] == push("late")


def test_only_the_first_event_can_be_done() -> None:
    state = inbox.enqueue(inbox.enqueue(RepositoryState(), push("1")), pull(7, "2"))
    assert inbox.done(state, state.pending[1]) == state
    assert inbox.done(RepositoryState(), push()) == RepositoryState()


def test_a_head_that_was_evaluated_and_a_commit_of_ours_start_nothing() -> None:
    first, ours, other = REVISIONS[:3]
    state = inbox.saw(RepositoryState(), MAIN, first)
    state = inbox.own(state, OwnCommit(revision=ours, run="run"))
    assert inbox.reason_to_skip(state, push(), first) == inbox.KNOWN_HEAD
    assert inbox.reason_to_skip(state, push(), ours) == inbox.OWN_COMMIT
    assert inbox.reason_to_skip(state, push(), other) == ""
    assert inbox.reason_to_skip(state, pull(7), first) == ""


def test_a_branch_that_goes_back_to_an_older_revision_is_evaluated_again() -> None:
    state = inbox.saw(RepositoryState(), MAIN, REVISIONS[0])
    state = inbox.saw(state, MAIN, REVISIONS[1])
    assert inbox.reason_to_skip(state, push(), REVISIONS[0]) == ""


@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from(REVISIONS)), max_size=400))
def test_the_heads_of_the_refs_touched_last_are_kept(seen: list[tuple[int, str]]) -> None:
    state = RepositoryState()
    for number, revision in seen:
        state = inbox.saw(state, f"refs/pull/{number}/head", revision)
    latest = dict(seen)
    assert len(state.heads) == min(len(latest), inbox.MAX_HEADS)
    recent = list(dict.fromkeys(number for number, _ in reversed(seen)))[: inbox.MAX_HEADS]
    assert {f"refs/pull/{number}/head" for number in recent} == set(state.heads)
    assert all(state.heads[f"refs/pull/{number}/head"] == latest[number] for number in recent)


def test_a_run_is_remembered_from_its_start_to_its_end() -> None:
    state = inbox.started(RepositoryState(), "run/1", MAIN, REVISIONS[0])
    state = inbox.started(state, "run/2", PULLS[0], REVISIONS[1])
    assert [run.run for run in inbox.running_on(state, MAIN)] == ["run/1"]
    state = inbox.finished(state, RunFinished(run="run/1", outcome="succeeded"))
    assert inbox.running_on(state, MAIN) == ()
    assert [run.outcome for run in state.runs] == ["succeeded", "running"]
    assert inbox.finished(state, RunFinished(run="run/9", outcome="failed")) == state


def test_what_is_remembered_is_bounded_and_the_newest_stays() -> None:
    state = RepositoryState()
    for number in range(700):
        revision = f"{number:040x}"
        state = inbox.done(inbox.enqueue(state, push(f"d{number}")), push(f"d{number}"))
        state = inbox.own(state, OwnCommit(revision=revision, run="run"))
        state = inbox.started(state, f"run/{number}", MAIN, revision)
        state = inbox.note(state, f"note {number}")
    assert len(state.deliveries) == inbox.MAX_DELIVERIES
    assert len(state.own_commits) == inbox.MAX_OWN_COMMITS
    assert len(state.runs) == inbox.MAX_RUNS
    assert len(state.notices) == inbox.MAX_NOTICES
    newest = (state.deliveries[-1], state.runs[-1].run, state.notices[-1])
    assert newest == ("d699", "run/699", "note 699")


def test_a_repeated_notice_stands_once() -> None:
    state = inbox.note(inbox.note(RepositoryState(), "x"), "x")
    assert state.notices == ("x",)


def test_our_own_looks_are_told_from_what_we_were_told() -> None:
    assert inbox.is_look(push())
    assert not inbox.is_look(push("1"))
    assert not inbox.is_look(pull(7))
