"""What outsiders say always decodes; what people wrote in files never passes unread."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pilothouse.clients.temporal.converter import DATA_CONVERTER
from pilothouse.models.base import Claim, Contract, Declaration, explain
from pilothouse.models.environment import DecideClaim, DecisionClaim, HoldClaim
from pilothouse.models.repository import RepositoryEvent
from pilothouse.models.runs import SupersedeClaim

CLAIMS = (DecisionClaim, DecideClaim, HoldClaim, RepositoryEvent, SupersedeClaim)
FIELDS = sorted({name for claim in CLAIMS for name in claim.model_fields})
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT | st.sampled_from(FIELDS), inner, max_size=6)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", CLAIMS)
@given(value=JSON)
def test_a_claim_decodes_from_any_json(kind: type[Claim], value: object) -> None:
    claim = TypeAdapter(kind).validate_json(json.dumps(value))
    assert isinstance(claim, kind)
    if not isinstance(value, dict):
        assert claim.problem.startswith("expected a JSON object, got ")


@pytest.mark.parametrize("kind", CLAIMS)
@given(value=JSON)
def test_a_claim_that_was_not_understood_says_nothing_else(
    kind: type[Claim], value: object
) -> None:
    claim = TypeAdapter(kind).validate_json(json.dumps(value))
    if claim.problem:
        assert claim.model_dump(exclude={"problem"}) == kind().model_dump(exclude={"problem"})


async def test_a_claim_decodes_through_the_converter_of_our_workers() -> None:
    payloads = await DATA_CONVERTER.encode([[1, 2]])
    (claim,) = await DATA_CONVERTER.decode(payloads, [DecisionClaim])
    assert claim.problem == "expected a JSON object, got a list"


def test_the_sender_cannot_set_the_problem() -> None:
    claim = TypeAdapter(DecisionClaim).validate_python({"by": "lead", "problem": "none at all"})
    assert (claim.by, claim.problem) == ("lead", "")


def test_every_field_of_every_claim_has_a_default() -> None:
    for kind in CLAIMS:
        assert kind().problem == ""


def test_an_unknown_field_is_read_over_between_our_parts_and_refused_in_files() -> None:
    class Message(Contract):
        a: int = 0

    class Document(Declaration):
        a: int = 0

    assert Message.model_validate({"a": 1, "b": 2}) == Message(a=1)
    with pytest.raises(ValidationError, match="b"):
        Document.model_validate({"a": 1, "b": 2})


def test_contracts_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DecisionClaim(by="lead").by = "other"  # type: ignore[misc]  # the point of the test


def test_an_explanation_names_the_place_and_never_the_value() -> None:
    with pytest.raises(ValidationError) as refused:
        _Outer.model_validate({"inner": {"number": "s3cr3t-value"}})
    said = explain(refused.value)
    assert said.startswith("inner.number: ")
    assert "s3cr3t-value" not in said


class _Inner(Contract):
    number: int


class _Outer(Contract):
    inner: _Inner
