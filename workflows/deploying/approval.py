"""The decision of a person about one plan: claims are collected early and judged when they can be.

A signal may come before the question is asked, twice, late, from the author, for another plan, or
as nonsense. Each gets the specified outcome, and what is refused is said where people look.
"""

from collections.abc import Sequence
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops import ownership
    from pilothouse.models.environment import DecideClaim, Decision, DecisionClaim
    from pilothouse.models.names import short
    from pilothouse.models.pipeline import Approval

MAX_EARLY = 100
MAX_NOTICES = 20
MIN_PLAN_DIGITS = 12


class ApprovalDesk:
    """Collects claims for one deployment, and holds the one decision that counted."""

    def __init__(self) -> None:
        self._plan = ""
        self._policy = Approval()
        self._authors: frozenset[str] = frozenset()
        self._owner = ""
        self._closed = ""
        self._early: list[DecideClaim] = []
        self.decision: Decision | None = None
        self.notices: tuple[str, ...] = ()

    def open(self, plan: str, policy: Approval, authors: frozenset[str], now: datetime) -> None:
        """Ask the question: from here on a decision can count; judge what came early."""
        self._plan, self._policy, self._authors = plan, policy, authors
        early, self._early = self._early, []
        for claim in early:
            self.judge(claim, now)

    def owned_by(self, owner: str) -> None:
        """Only the environment's owner approves: what somebody else approved counts no more.

        Args:
            owner: empty: whom the policy lets.
        """
        if owner and owner != self._owner:
            self.note(f"{owner} owns the environment: only they approve")
        self._owner = owner
        decision = self.decision
        if decision is None or not decision.approved:
            return
        if why := ownership.refuses(owner, decision.by):
            self.note(f"the approval by {decision.by[:60]} does not count: {why}")
            self.decision = None

    def close(self, why: str) -> None:
        """No decision can count any more."""
        self._closed = why

    def judge(self, claim: DecideClaim, now: datetime) -> None:
        """Let a claim count, keep it for later, or refuse it with a notice."""
        if refusal := self.refusal(claim):
            word = "approval" if claim.approve else "rejection"
            self.note(f"{word} by {claim.by[:60] or 'nobody'} refused: {refusal}")
        elif not self._plan:
            if len(self._early) < MAX_EARLY:
                self._early.append(claim)
            else:
                self.note("a decision was dropped: too many came before the question")
        else:
            self.decision = Decision(
                approved=claim.approve,
                by=claim.by,
                plan=self._plan,
                reason=claim.reason,
                at=now.isoformat(),
            )

    @property
    def rejected(self) -> bool:
        """Whether the decision that counts is a no."""
        return self.decision is not None and not self.decision.approved

    def refusal(self, claim: DecideClaim) -> str:
        """Why a claim cannot count, as far as it is known now; empty if it can."""
        if claim.problem:
            return f"it was not understood ({claim.problem})"
        if not claim.by.strip():
            return 'it does not say who decides: add "by"'
        if self._closed:
            return self._closed
        vetoes = self.decision is not None and self.decision.approved and not claim.approve
        if self.decision is not None and not vetoes:
            return f"already decided by {self.decision.by[:60]}"
        digits = claim.plan.removeprefix("sha256:")
        if len(digits) < MIN_PLAN_DIGITS:
            return f'it names no plan: add "plan" with at least {MIN_PLAN_DIGITS} of its digits'
        if self._plan and not self._plan.removeprefix("sha256:").startswith(digits):
            return f"it is for plan {short(claim.plan)}, but the plan is {short(self._plan)}"
        return self._eligibility(claim) if claim.approve else ""

    def _eligibility(self, claim: DecideClaim) -> str:
        who = claim.by.strip().lower()
        if who in self._authors:
            return "authors do not approve their own commits"
        allowed = {name.lower() for name in self._policy.approvers}
        if allowed and who not in allowed:
            return "not among the environment's approvers"
        return ownership.refuses(self._owner, who)

    def note(self, text: str) -> None:
        """Say something to people; the last twenty are kept."""
        self.notices = (*self.notices, text)[-MAX_NOTICES:]


def as_decision(claim: DecisionClaim, *, approve: bool) -> DecideClaim:
    """The claim of an `approve` or `reject` signal in the form of the `decide` update."""
    return DecideClaim.model_construct(
        problem=claim.problem, by=claim.by, plan=claim.plan, reason=claim.reason, approve=approve
    )


def describe_unknown(name: str, known: Sequence[str]) -> str:
    """What to say about a signal whose name nobody knows."""
    return f"unknown signal {name[:60]!r}: this workflow understands {', '.join(known)}"
