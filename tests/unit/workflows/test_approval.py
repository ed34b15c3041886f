"""The approval desk: each input that a person, or somebody else, can send has its one outcome."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.models.environment import DecideClaim, DecisionClaim
from pilothouse.models.pipeline import Approval
from workflows.deploying.approval import (
    MAX_EARLY,
    MAX_NOTICES,
    ApprovalDesk,
    as_decision,
    describe_unknown,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGITS = "c" * 64
PLAN = f"sha256:{DIGITS}"
OTHER = "sha256:" + "d" * 64
AUTHORS = frozenset({"dev", "dev@example.org", "pair@example.org"})
LEAD = "lead@example.org"
TEXT = st.text(max_size=30)


def desk(policy: Approval | None = None, authors: frozenset[str] = AUTHORS) -> ApprovalDesk:
    opened = ApprovalDesk()
    opened.open(PLAN, policy or Approval(), authors, NOW)
    return opened


def claim(
    by: str = LEAD, plan: str = PLAN, *, approve: bool = True, reason: str = ""
) -> DecideClaim:
    return DecideClaim(by=by, plan=plan, approve=approve, reason=reason)


def test_a_valid_approval_in_time_counts_once() -> None:
    opened = desk()
    opened.judge(claim(reason="looks right"), NOW)
    assert opened.decision is not None
    assert opened.decision.model_dump() == {
        "approved": True,
        "by": LEAD,
        "plan": PLAN,
        "reason": "looks right",
        "at": NOW.isoformat(),
    }
    assert opened.notices == ()


@pytest.mark.parametrize("plan", [PLAN, DIGITS, DIGITS[:12], f"sha256:{DIGITS[:12]}"])
def test_the_plan_may_be_named_whole_or_by_its_first_digits(plan: str) -> None:
    opened = desk()
    opened.judge(claim(plan=plan), NOW)
    assert opened.decision is not None and opened.decision.plan == PLAN


@pytest.mark.parametrize(("first", "second"), [(True, True), (False, True), (False, False)])
def test_what_comes_after_a_decision_has_no_further_effect(first: bool, second: bool) -> None:
    opened = desk()
    opened.judge(claim(approve=first), NOW)
    decided = opened.decision
    opened.judge(claim("other@example.org", approve=second), NOW)
    assert opened.decision is decided
    assert opened.notices[-1].endswith(f"refused: already decided by {LEAD}")


def test_a_rejection_voids_an_approval_as_long_as_nothing_is_written() -> None:
    opened = desk()
    opened.judge(claim(), NOW)
    opened.judge(claim("boss@example.org", approve=False), NOW)
    assert opened.rejected
    assert opened.decision is not None and opened.decision.by == "boss@example.org"


def test_nobody_in_particular_decides_nothing() -> None:
    opened = desk()
    opened.judge(claim(by="   "), NOW)
    assert opened.decision is None


def test_a_decision_before_the_question_is_held_and_judged_when_it_is_asked() -> None:
    early = ApprovalDesk()
    early.judge(claim(), NOW)
    assert early.decision is None and early.notices == ()
    early.open(PLAN, Approval(), AUTHORS, NOW)
    assert early.decision is not None and early.decision.by == LEAD


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (claim(plan=OTHER), "but the plan is cccccccccccc"),
        (claim(by="dev@example.org"), "authors do not approve their own commits"),
    ],
)
def test_an_early_decision_is_refused_when_what_it_lacks_is_known(
    sent: DecideClaim, said: str
) -> None:
    early = ApprovalDesk()
    early.judge(sent, NOW)
    early.open(PLAN, Approval(), AUTHORS, NOW)
    assert early.decision is None
    assert said in early.notices[-1]


def test_of_two_early_decisions_the_first_counts() -> None:
    early = ApprovalDesk()
    early.judge(claim("one@example.org", approve=False), NOW)
    early.judge(claim("two@example.org"), NOW)
    early.open(PLAN, Approval(), AUTHORS, NOW)
    assert early.decision is not None and not early.decision.approved
    assert "already decided by one@example.org" in early.notices[-1]


def test_a_flood_of_early_decisions_is_bounded() -> None:
    early = ApprovalDesk()
    for number in range(MAX_EARLY + 50):
        early.judge(claim(f"p{number}", plan=OTHER), NOW)
    early.open(PLAN, Approval(), AUTHORS, NOW)
    assert early.decision is None
    assert any(f"p{MAX_EARLY - 1} " in notice for notice in early.notices)
    assert not any(f"p{MAX_EARLY} " in notice for notice in early.notices)


@pytest.mark.parametrize("why", ["the time to decide is over", "the decision is made"])
def test_after_expiry_or_once_it_goes_on_every_decision_comes_too_late(why: str) -> None:
    opened = desk()
    opened.close(why)
    for approve in (True, False):
        assert opened.refusal(claim(approve=approve)) == why
    opened.judge(claim(), NOW)
    assert opened.decision is None
    assert opened.notices == (f"approval by {LEAD} refused: {why}",)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (claim(plan=OTHER), "it is for plan dddddddddddd, but the plan is cccccccccccc"),
        (claim(plan=DIGITS + "0"), "but the plan is"),
        (claim(plan=""), "it names no plan"),
        (claim(plan=DIGITS[:11]), "it names no plan"),
        (claim(plan="sha256:"), "it names no plan"),
        (claim(by=""), "it does not say who decides"),
        (claim(by="DEV@example.org "), "authors do not approve"),
        (claim(by="Dev"), "authors do not approve"),
        (claim(by="pair@example.org"), "authors do not approve"),
    ],
)
def test_what_cannot_count_is_refused_and_the_question_stands(sent: DecideClaim, said: str) -> None:
    opened = desk()
    assert said in opened.refusal(sent)
    opened.judge(sent, NOW)
    assert opened.decision is None
    assert said in opened.notices[-1]
    opened.judge(claim(), NOW)
    assert opened.decision is not None, "a refused claim must not close the question"


def test_only_those_who_were_named_may_approve_if_anyone_was() -> None:
    policy = Approval(approvers=("Lead@Example.org", "dev@example.org"))
    opened = desk(policy)
    assert opened.refusal(claim("other")) == "not among the environment's approvers"
    assert opened.refusal(claim("dev@example.org")) == "authors do not approve their own commits"
    assert opened.refusal(claim(LEAD)) == ""


def test_an_author_may_reject() -> None:
    opened = desk()
    opened.judge(claim("dev@example.org", approve=False, reason="found a mistake"), NOW)
    assert opened.decision is not None and not opened.decision.approved


@given(st.recursive(st.none() | st.integers() | TEXT, st.lists, max_leaves=4))
def test_nonsense_is_refused_with_what_was_not_understood(value: object) -> None:
    sent = as_decision(DecisionClaim.model_validate({"by": [value], "plan": PLAN}), approve=True)
    opened = desk()
    opened.judge(sent, NOW)
    assert opened.decision is None
    assert "it was not understood (by: Input should be a valid string)" in opened.notices[-1]


@given(by=TEXT, plan=TEXT, approve=st.booleans(), reason=TEXT)
def test_a_claim_counts_exactly_if_no_refusal_was_said(
    by: str, plan: str, approve: bool, reason: str
) -> None:
    opened = desk()
    sent = claim(by, plan, approve=approve, reason=reason)
    refusal = opened.refusal(sent)
    opened.judge(sent, NOW)
    assert (opened.decision is None) is bool(refusal)
    assert len(opened.notices) == bool(refusal)


@given(st.text(min_size=12, max_size=80))
def test_no_other_text_names_the_plan(plan: str) -> None:
    digits = plan.removeprefix("sha256:")
    opened = desk()
    opened.judge(claim(plan=plan), NOW)
    names_it = len(digits) >= 12 and DIGITS.startswith(digits)
    assert (opened.decision is not None) is names_it


def test_notices_are_bounded_and_long_names_are_cut() -> None:
    opened = desk()
    for number in range(MAX_NOTICES + 5):
        opened.judge(claim(f"{number}" + "x" * 1000, plan=""), NOW)
    assert len(opened.notices) == MAX_NOTICES
    assert all(len(notice) < 250 for notice in opened.notices)


def test_a_signal_and_an_update_say_the_same() -> None:
    sent = DecisionClaim(by=LEAD, plan=PLAN, reason="x")
    assert as_decision(sent, approve=True) == claim(reason="x")
    assert as_decision(sent, approve=False) == claim(approve=False, reason="x")


def test_an_unknown_signal_is_answered_with_those_that_exist() -> None:
    said = describe_unknown("aprove" * 50, ("approve", "reject"))
    assert said.endswith("this workflow understands approve, reject")
    assert len(said) < 150
