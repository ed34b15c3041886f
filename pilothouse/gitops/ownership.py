"""Whose an environment is: who alone approves there."""

import re
from datetime import datetime

from pilothouse.gitops.ledger import note
from pilothouse.models.environment import EnvironmentState, Ownership, OwnershipClaim

MAX_NAME = 60
MAX_REASON = 300
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
_KEY = re.compile(r"k[0-9a-f]{12}")


def is_email(text: str) -> bool:
    """Whether it has the form of a person's address."""
    return _EMAIL.fullmatch(text) is not None


def transfer(state: EnvironmentState, claim: OwnershipClaim, now: datetime) -> EnvironmentState:
    """Hand an environment to a person, or back to nobody; what is refused becomes a notice.

    A key hands over what is nobody's, to a person. What a person has, only people hand on.
    """
    owner = claim.owner.strip()
    if owner.lower() == state.owner.lower() and not claim.problem:
        return state
    if why := _refusal(state, claim, owner):
        return note(state, f"ownership: {claim.by[:MAX_NAME] or 'nobody'} refused: {why}")
    by, reason = claim.by[:MAX_NAME], claim.reason[:MAX_REASON]
    taken = Ownership(owner=owner, by=by, since=now.isoformat(), reason=reason)
    state = state.model_copy(update={"ownership": taken if owner else None})
    given = f"{owner} alone approves here" if owner else "nobody owns it any more"
    return note(state, f"{given}, by {by}" + (f": {reason}" if reason else ""))


def refuses(owner: str, who: str) -> str:
    """Why somebody's approval does not count where there is an owner; empty if it does.

    Args:
        owner: empty: nobody in particular.
        who: by name or e-mail, in any case of letters.
    """
    if not owner or who.strip().lower() == owner.lower():
        return ""
    return f"{owner} owns the environment and alone approves there"


def _refusal(state: EnvironmentState, claim: OwnershipClaim, owner: str) -> str:
    if claim.problem:
        return f"it was not understood ({claim.problem})"
    if not claim.by.strip():
        return 'it does not say who hands it over: add "by"'
    if owner and not is_email(owner):
        return "the owner is no e-mail address"
    if _KEY.fullmatch(claim.by) and state.owner:
        return f"{state.owner} owns it, and only people hand on what a person has"
    if _KEY.fullmatch(claim.by) and not owner:
        return "a key hands over to a person only"
    return ""
