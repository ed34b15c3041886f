"""An environment's ledger: the lock, the releases, the hold, whatever comes in whatever order."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pilothouse.gitops import ledger
from pilothouse.models.environment import (
    EnvironmentState,
    Hold,
    LockAnswer,
    LockRequest,
    Release,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REVISIONS = [letter * 40 for letter in "abcdef"]
LEASES = ["lease/0", "lease/1"]
HOLDERS = [*(f"deployment/{number}" for number in range(6)), *LEASES]
DIGEST = "sha256:" + "0" * 64


def request(holder: str, revision: str = REVISIONS[0], *, rollback: bool = False) -> LockRequest:
    return LockRequest(holder=holder, revision=revision, rollback=rollback)


def release(revision: str, outcome: Literal["good", "bad"] = "good", reason: str = "") -> Release:
    return Release(
        revision=revision,
        plan=DIGEST,
        outcome=outcome,
        at=NOW.isoformat(),
        deployment="deployment/x",
        reason=reason,
    )


def hold(kind: Literal["manual", "rollback", "frozen"], bad: str = "") -> Hold:
    return Hold(kind=kind, reason="why", by="lead", since=NOW.isoformat(), bad_revision=bad)


def granted(state: EnvironmentState, holder: str = "deployment/0") -> LockAnswer:
    _, _, answer = ledger.answer_next(ledger.enqueue(state, request(holder)), NOW)
    return answer


class Lock(RuleBasedStateMachine):
    """Requests, loans, releases, grants, holds and releases of revisions, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.state = EnvironmentState()
        self.now = NOW
        self.waiting: list[LockRequest] = []
        self.grants: list[int] = []

    @rule(
        holder=st.sampled_from(HOLDERS),
        revision=st.sampled_from(REVISIONS),
        urgent=st.booleans(),
        seen=st.integers(0, 40),
        under=st.sampled_from(["", *LEASES, HOLDERS[0]]),
    )
    def ask(self, holder: str, revision: str, urgent: bool, seen: int, under: str) -> None:
        """`seen`: the cluster may know a higher number, from a ledger that was lost."""
        lease = holder in LEASES
        asked = LockRequest(
            holder=holder,
            revision=revision,
            rollback=urgent and not lease,
            seen_fencing=seen,
            writes=not lease,
            under="" if lease else under,
        )
        known = {each.holder for each in self.waiting} | self.holders()
        self.state = ledger.enqueue(self.state, asked)
        if holder not in known:
            self.waiting.append(asked)

    @rule(holder=st.sampled_from(HOLDERS))
    def give_back(self, holder: str) -> None:
        others = self.holders() - {holder}
        self.state = ledger.release(self.state, holder)
        self.waiting = [each for each in self.waiting if each.holder != holder]
        assert self.holders() == others

    def in_line(self) -> list[LockRequest]:
        """Who may be answered now, the first one first."""
        waiting = sorted(self.waiting, key=lambda each: not each.rollback)
        holder = self.state.holder
        if holder is None:
            return waiting
        return [each for each in waiting if holder.holder in LEASES and each.under == holder.holder]

    @rule()
    def look(self) -> None:
        assert ledger.next_in_line(self.state) == next(iter(self.in_line()), None)

    @precondition(lambda self: self.in_line())
    @rule()
    def answer(self) -> None:
        before = self.state.holder
        expected = self.in_line()[0]
        reason = ledger.refusal(self.state, expected)
        self.state, asked, answer = ledger.answer_next(self.state, self.now)
        assert asked == expected
        self.waiting.remove(expected)
        assert answer.granted is (reason == "")
        if answer.granted:
            assert (self.state.holder, self.state.lender) == (expected, before)
            assert answer.fencing > max([asked.seen_fencing, *self.grants])
            self.grants.append(answer.fencing)
        else:
            assert self.state.holder == before
            assert reason in answer.reason and reason in self.state.notices[-1]

    @rule(holder=st.sampled_from(HOLDERS), seconds=st.integers(0, 1000))
    def renew(self, holder: str, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        before = self.state
        self.state = ledger.renew(self.state, holder, self.now)
        if holder not in self.holders():
            assert self.state == before

    @rule(kind=st.sampled_from(["manual", "rollback", "frozen"]), bad=st.sampled_from(REVISIONS))
    def pause(self, kind: Literal["manual", "rollback", "frozen"], bad: str) -> None:
        self.state = ledger.hold(self.state, hold(kind, bad))

    @rule()
    def resume(self) -> None:
        self.state = ledger.resume(self.state, "lead", "fixed")
        assert self.state.hold is None

    @rule(
        revision=st.sampled_from(REVISIONS),
        outcome=st.sampled_from(["good", "bad"]),
        lift=st.booleans(),
    )
    def record(self, revision: str, outcome: Literal["good", "bad"], lift: bool) -> None:
        self.state = ledger.record(self.state, release(revision, outcome), lift)
        words = [each.outcome for each in self.state.releases if each.revision == revision]
        assert words == [outcome]

    def holders(self) -> set[str]:
        return {each.holder for each in (self.state.holder, self.state.lender) if each is not None}

    @invariant()
    def only_a_lease_lends_and_only_to_what_was_asked_for_in_its_name(self) -> None:
        if self.state.lender is not None:
            assert self.state.holder is not None
            assert self.state.lender.holder in LEASES
            assert self.state.holder.under == self.state.lender.holder

    @invariant()
    def no_request_is_lost_or_doubled(self) -> None:
        assert sorted(self.state.queue, key=str) == sorted(self.waiting, key=str)

    @invariant()
    def rollbacks_wait_first_and_each_kind_in_the_order_it_came(self) -> None:
        urgent = [each for each in self.waiting if each.rollback]
        others = [each for each in self.waiting if not each.rollback]
        assert list(self.state.queue) == urgent + others

    @invariant()
    def the_fencing_number_is_that_of_the_last_grant(self) -> None:
        assert self.state.fencing == max(self.grants, default=0)

    @invariant()
    def a_lease_has_an_end_exactly_while_it_is_held(self) -> None:
        assert bool(self.state.expires_at) is (self.state.holder is not None)

    @invariant()
    def what_was_last_good_is_not_known_to_be_bad(self) -> None:
        good = self.state.last_good
        bad = {each.revision for each in self.state.releases if each.outcome == "bad"}
        assert good is None or good.revision not in bad

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.state.notices) <= ledger.MAX_NOTICES
        assert len(self.state.releases) <= ledger.MAX_RELEASES


Lock.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestLock = Lock.TestCase


# -- the lock -------------------------------------------------------------------------------------


def test_a_full_queue_says_whom_it_left_out_and_still_takes_a_rollback() -> None:
    state = EnvironmentState()
    for number in range(ledger.MAX_QUEUE):
        state = ledger.enqueue(state, request(f"deployment/{number}"))
    full = ledger.enqueue(state, request("deployment/late"))
    assert full.queue == state.queue
    assert full.notices[-1] == "the queue is full: deployment/late was not queued"
    urgent = ledger.enqueue(state, request("rollback/x", rollback=True))
    assert urgent.queue[0].holder == "rollback/x"


def test_a_grant_tells_where_a_rollback_can_go_newest_last() -> None:
    state = EnvironmentState()
    for revision in REVISIONS[:3]:
        state = ledger.record(state, release(revision), lift_rollback_hold=True)
    state = ledger.record(state, release(REVISIONS[1], "bad"), lift_rollback_hold=False)
    answer = granted(state)
    assert [each.revision for each in answer.good] == [REVISIONS[0], REVISIONS[2]]


def test_a_lease_lasts_as_long_as_was_asked_from_its_grant_and_from_each_renewal() -> None:
    asked = LockRequest(holder="d", revision=REVISIONS[0], lease_seconds=60)
    state, _, _ = ledger.answer_next(ledger.enqueue(EnvironmentState(), asked), NOW)
    assert datetime.fromisoformat(state.expires_at) == NOW + timedelta(seconds=60)
    later = NOW + timedelta(seconds=50)
    renewed = ledger.renew(state, "d", later)
    assert datetime.fromisoformat(renewed.expires_at) == later + timedelta(seconds=60)


# -- holds ----------------------------------------------------------------------------------------


def test_a_frozen_environment_refuses_everybody_rollbacks_too() -> None:
    state = ledger.hold(EnvironmentState(), hold("frozen"))
    for urgent in (False, True):
        assert "frozen since" in ledger.refusal(state, request("d", rollback=urgent))


def test_a_persons_hold_lets_only_rollbacks_pass() -> None:
    state = ledger.hold(EnvironmentState(), hold("manual"))
    assert "on hold since" in ledger.refusal(state, request("d"))
    assert ledger.refusal(state, request("d", rollback=True)) == ""


def test_a_rollbacks_hold_refuses_what_is_known_to_be_bad_and_takes_a_newer_revision() -> None:
    bad, newer = REVISIONS[:2]
    state = ledger.record(EnvironmentState(), release(bad, "bad", "it crashed"), False)
    state = ledger.hold(state, hold("rollback", bad))
    assert ledger.refusal(state, request("d", bad)) == (
        "aaaaaaaaaaaa is known to be bad here: it crashed; "
        "push a fix, resume the environment, or force it"
    )
    assert ledger.refusal(state, request("d", newer)) == ""


@given(st.permutations(["manual", "rollback", "frozen"]))
def test_a_hold_is_never_weakened(
    kinds: list[Literal["manual", "rollback", "frozen"]],
) -> None:
    strength = ["rollback", "manual", "frozen"]
    state = EnvironmentState()
    for position, kind in enumerate(kinds):
        state = ledger.hold(state, hold(kind))
        strongest = max(kinds[: position + 1], key=strength.index)
        assert state.hold is not None and state.hold.kind == strongest


@pytest.mark.parametrize(("kind", "stays"), [("rollback", 0), ("manual", 1), ("frozen", 1)])
def test_only_a_rollbacks_hold_is_lifted_by_a_newer_good_revision(
    kind: Literal["manual", "rollback", "frozen"], stays: int
) -> None:
    state = ledger.hold(EnvironmentState(), hold(kind))
    lifted = ledger.record(state, release(REVISIONS[0]), lift_rollback_hold=True)
    assert (lifted.hold is not None) is bool(stays)
    kept = ledger.record(state, release(REVISIONS[0]), lift_rollback_hold=False)
    assert kept.hold == state.hold


def test_to_resume_forgives_the_bad_revision_even_if_a_person_paused_meanwhile() -> None:
    bad = REVISIONS[0]
    state = ledger.record(EnvironmentState(), release(bad, "bad", "it crashed"), False)
    state = ledger.hold(state, hold("rollback", bad))
    state = ledger.hold(state, hold("manual"))
    assert "on hold" in ledger.refusal(state, request("d", bad))
    state = ledger.resume(state, "lead", "the registry is back")
    assert ledger.refusal(state, request("d", bad)) == ""
    assert state.notices[-1] == "resumed by lead: the registry is back"


def test_to_resume_without_a_hold_changes_nothing_and_says_so() -> None:
    state = ledger.record(EnvironmentState(), release(REVISIONS[0], "bad"), False)
    resumed = ledger.resume(state, "lead", "x")
    assert resumed.releases == state.releases
    assert resumed.notices[-1] == "resume by lead: there is no hold"


# -- releases -------------------------------------------------------------------------------------


def test_what_a_person_calls_bad_is_not_last_good_any_more() -> None:
    first, second = REVISIONS[:2]
    state = ledger.record(EnvironmentState(), release(first), True)
    state = ledger.record(state, release(second), True)
    state = ledger.record(state, release(second, "bad", "latency doubled"), False)
    assert state.last_good is not None and state.last_good.revision == first
    state = ledger.record(state, release(first, "bad"), False)
    assert state.last_good is None


def test_the_oldest_releases_are_forgotten_and_the_last_good_one_is_kept() -> None:
    state = ledger.record(EnvironmentState(), release("1" * 40), True)
    for number in range(ledger.MAX_RELEASES):
        state = ledger.record(state, release(f"{number:040x}", "bad"), False)
    assert len(state.releases) == ledger.MAX_RELEASES
    assert state.last_good is not None and state.last_good.revision == "1" * 40


# -- what is known to be bad ----------------------------------------------------------------------


def under(plan: str, revision: str, outcome: Literal["good", "bad"]) -> Release:
    return release(revision, outcome, "it crashed").model_copy(update={"plan": plan})


def test_the_same_plan_is_known_to_be_bad_under_any_commit_id() -> None:
    bad, good = "sha256:" + "b" * 64, "sha256:" + "a" * 64
    state = EnvironmentState()
    for each in (under(good, REVISIONS[0], "good"), under(bad, REVISIONS[1], "bad")):
        state = ledger.record(state, each, lift_rollback_hold=False)
    again = LockRequest(holder="d", revision=REVISIONS[2], plan=bad)
    assert "known to be bad here (as bbbbbbbbbbbb): it crashed" in ledger.refusal(state, again)
    assert ledger.refusal(state, again.model_copy(update={"plan": good})) == ""
    assert ledger.refusal(state, again.model_copy(update={"rollback": True})) == ""
    held = ledger.hold(state, hold("rollback", REVISIONS[1]))
    assert ledger.refusal(ledger.resume(held, "lead", "mended"), again) == ""


def test_the_newest_word_on_a_plan_counts() -> None:
    state = EnvironmentState()
    words: tuple[Literal["bad", "good"], ...] = ("bad", "good")
    for revision, outcome in zip(REVISIONS, words, strict=False):
        state = ledger.record(state, under(DIGEST, revision, outcome), lift_rollback_hold=False)
    assert ledger.refusal(state, LockRequest(holder="d", revision=REVISIONS[0], plan=DIGEST)) == ""


def test_what_is_forced_is_granted_and_noted_and_passes_no_hold() -> None:
    state = ledger.record(EnvironmentState(), release(REVISIONS[0], "bad", "it crashed"), False)
    forced = LockRequest(holder="d", revision=REVISIONS[0], forced="lead: it was the registry")
    after, _, answer = ledger.answer_next(ledger.enqueue(state, forced), NOW)
    assert answer.granted
    assert after.notices[-1].endswith("it crashed; forced by lead: it was the registry")
    for kind in ("manual", "frozen"):
        assert ledger.refusal(ledger.hold(state, hold(kind)), forced)


# -- what was written last ------------------------------------------------------------------------


def test_the_holder_tells_what_it_wrote_and_nobody_else_does() -> None:
    state, _, _ = ledger.answer_next(ledger.enqueue(EnvironmentState(), request("d")), NOW)
    assert ledger.release(state, "stranger", REVISIONS[1]).current == ""
    written = ledger.release(state, "d", REVISIONS[0])
    assert written.current == REVISIONS[0]
    assert granted(written).current == REVISIONS[0]
    again, _, _ = ledger.answer_next(ledger.enqueue(written, request("e", REVISIONS[2])), NOW)
    assert ledger.release(again, "e").current == REVISIONS[0]
