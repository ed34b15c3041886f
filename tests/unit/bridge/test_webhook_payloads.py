import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilothouse.bridge.payloads import (
    Happening,
    Ignored,
    MalformedError,
    read_pull_request,
    read_push,
    repository_named_in,
)
from pilothouse.models.repository import RepositoryRef

APP = RepositoryRef(url="https://git.example.com/acme/app")
BEFORE, AFTER = "a" * 40, "b" * 40
Document = dict[str, Any]
READERS: list[Callable[[bytes, RepositoryRef, str], Happening | Ignored]] = [
    read_push,
    read_pull_request,
]


def push(**changes: object) -> Document:
    repository = {"full_name": "acme/app", "pushed_at": 1_700_000_000}
    return {
        "ref": "refs/heads/main",
        "before": BEFORE,
        "after": AFTER,
        "repository": repository,
    } | changes


def pull_request(action: str = "opened", number: object = 7, base: str = "main") -> Document:
    return {
        "action": action,
        "number": number,
        "pull_request": {
            "head": {"sha": AFTER, "ref": "$(reboot)"},
            "base": {"ref": base},
            "updated_at": "2026-11-01T10:00:00Z",
        },
        "repository": {"full_name": "acme/app"},
    }


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def happening(result: Happening | Ignored) -> Happening:
    assert isinstance(result, Happening)
    return result


def test_a_push_to_the_default_branch_is_an_event() -> None:
    event = happening(read_push(encode(push()), APP, "d-1")).event
    assert (event.kind, event.ref, event.delivery) == ("push", "refs/heads/main", "d-1")
    assert event.problem == ""


@pytest.mark.parametrize(
    "ref", ["refs/heads/feature", "refs/tags/main", "main", "refs/heads/mainx"]
)
def test_a_push_elsewhere_is_ignored_with_the_reason(ref: str) -> None:
    result = read_push(encode(push(ref=ref)), APP, "d-1")
    assert result == Ignored(reason="only pushes to refs/heads/main start runs")


def test_the_deletion_of_the_default_branch_is_ignored() -> None:
    assert isinstance(read_push(encode(push(deleted=True)), APP, "d-1"), Ignored)


@pytest.mark.parametrize("action", ["opened", "reopened", "synchronize", "ready_for_review"])
def test_a_pull_request_that_moved_is_an_event_of_its_head_ref(action: str) -> None:
    event = happening(read_pull_request(encode(pull_request(action)), APP, "d-1")).event
    assert event.kind == "pull_request"
    assert (event.ref, event.number) == ("refs/pull/7/head", 7)
    assert (event.base_ref, event.closed) == ("refs/heads/main", False)


def test_a_closed_pull_request_says_so() -> None:
    event = happening(read_pull_request(encode(pull_request("closed")), APP, "d-1")).event
    assert event.closed


@pytest.mark.parametrize("action", ["labeled", "assigned", "edited", "something_new"])
def test_what_does_not_move_a_pull_request_is_ignored(action: str) -> None:
    assert isinstance(read_pull_request(encode(pull_request(action)), APP, "d-1"), Ignored)


@pytest.mark.parametrize("number", [0, -1, "7", 7.5, True, None, 2**31 + 1, 10**400, [7]])
def test_a_number_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(MalformedError, match="number"):
        read_pull_request(encode(pull_request(number=number)), APP, "d-1")


@pytest.mark.parametrize("base", ["", "a..b", "-x", "a b", "x.lock", "a\u202eb", "a" * 300])
def test_a_base_that_is_no_branch_is_refused(base: str) -> None:
    with pytest.raises(MalformedError, match="base.ref"):
        read_pull_request(encode(pull_request(base=base)), APP, "d-1")


@pytest.mark.parametrize("field", ["before", "after"])
@pytest.mark.parametrize("value", ["", "HEAD", "A" * 40, "a" * 41, 7, None, {"sha": AFTER}])
def test_a_commit_id_of_the_wrong_form_is_refused(field: str, value: object) -> None:
    with pytest.raises(MalformedError, match=field):
        read_push(encode(push(**{field: value})), APP, "d-1")


def test_the_same_body_has_the_same_fingerprint_whatever_its_delivery() -> None:
    first = happening(read_push(encode(push()), APP, "d-1"))
    again = happening(read_push(encode(push()), APP, "d-2"))
    assert first.fingerprint == again.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"after": "c" * 40},
        {"before": "c" * 40},
        {"repository": {"full_name": "acme/app", "pushed_at": 1_700_000_001}},
    ],
)
def test_another_push_has_another_fingerprint(changes: Document) -> None:
    first = happening(read_push(encode(push()), APP, "d-1"))
    other = happening(read_push(encode(push(**changes)), APP, "d-1"))
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe",
        b'{"repository": 7}',
        b'{"repository": {"full_name": ["acme/app"]}}',
        b'{"repository": {"full_name": "../../etc"}}',
        b'{"repository": {"full_name": "acme/app"}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"repository": {"full_name": "acme/app", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b"1" * 100_000,
        b"payload=%7B%7D",
        b'{"repository":{"full_name":"acme/app"},"x":[' + b"0," * 250_000 + b"0]}",
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)
def test_any_other_body_is_malformed_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(MalformedError):
        repository_named_in(body)
    for read in READERS:
        with pytest.raises(MalformedError):
            read(body, APP, "d-1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
FIELDS = st.sampled_from(["ref", "before", "after", "repository", "deleted", "action", "number"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(FIELDS, JSON), st.sampled_from([push(), pull_request()]))
def test_a_body_with_any_field_replaced_is_read_or_refused(
    changes: Document, document: Document
) -> None:
    for read in READERS:
        try:
            result = read(encode(document | changes), APP, "d-1")
        except MalformedError as error:
            assert str(error)
        else:
            assert isinstance(result, Ignored) or not result.event.problem
