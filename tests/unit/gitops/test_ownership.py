"""Whose an environment is: who may hand it to whom, and what a claim that cannot count leaves."""

from datetime import UTC, datetime

import pytest

from pilothouse.gitops import ownership
from pilothouse.models.environment import EnvironmentState, OwnershipClaim

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "k" + "1" * 12
ANN, BOB = "ann@example.org", "bob@example.org"


def handed(state: EnvironmentState, owner: str, by: str = KEY) -> EnvironmentState:
    claim = OwnershipClaim(owner=owner, by=by, reason="she knows it")
    return ownership.transfer(state, claim, NOW)


def test_a_key_hands_what_is_nobodys_to_a_person() -> None:
    state = handed(EnvironmentState(), ANN)
    assert state.owner == ANN
    assert state.ownership and (state.ownership.by, state.ownership.since) == (KEY, NOW.isoformat())
    assert state.notices == (f"{ANN} alone approves here, by {KEY}: she knows it",)
    assert handed(state, " Ann@Example.org ") == state, "the same again changes nothing"


def test_what_a_person_has_only_people_hand_on() -> None:
    owned = handed(EnvironmentState(), ANN)
    for wanted in (BOB, ""):
        state = handed(owned, wanted)
        assert state.owner == ANN
        assert "refused" in state.notices[-1]
    assert handed(owned, BOB, by="lead").owner == BOB
    assert handed(owned, "", by=ANN).ownership is None


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({"owner": ANN}, 'add "by"'),
        ({"owner": "ann", "by": "lead"}, "no e-mail"),
        ({"owner": f"{ANN}, {BOB}", "by": "lead"}, "no e-mail"),
        ({"owner": f"{ANN}\n", "by": 7}, "was not understood"),
        ("ann", "expected a JSON object"),
    ],
)
def test_a_claim_that_cannot_count_leaves_a_notice(claim: object, why: str) -> None:
    parsed = OwnershipClaim.model_validate(claim)
    # What is not understood is no wish to hand anything back either.
    owned = EnvironmentState(ownership=handed(EnvironmentState(), BOB).ownership)
    for before in (EnvironmentState(), owned):
        state = ownership.transfer(before, parsed, NOW)
        assert state.ownership == before.ownership
        assert why in state.notices[-1]


def test_words_of_any_length_leave_a_notice_that_can_be_read() -> None:
    claim = OwnershipClaim(owner=ANN, by="x" * 10_000, reason="y" * 10_000)
    assert len(ownership.transfer(EnvironmentState(), claim, NOW).model_dump_json()) < 2500


@pytest.mark.parametrize(
    ("owner", "who", "counts"),
    [("", "lead", True), (ANN, " ANN@example.org", True), (ANN, BOB, False), (ANN, "", False)],
)
def test_where_there_is_an_owner_only_they_approve(owner: str, who: str, counts: bool) -> None:
    assert (ownership.refuses(owner, who) == "") is counts
