"""Keys: shown once, kept as digests, and gone at the next call once they are revoked."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pilothouse.models.errors import PermanentError
from pilothouse.workspace.keys import KeyRing, NewKey
from pilothouse.workspace.scopes import SCOPES, TOOLS, may_call

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys.json", now=Clock())


def made(ring: KeyRing, *scopes: str, lifetime: timedelta = timedelta(days=1)) -> NewKey:
    return ring.create(
        name="reviewer", workspace="ws-a", scopes=scopes or ("files:read",), lifetime=lifetime
    )


def test_a_key_is_known_again_and_the_file_holds_its_digest_only(
    ring: KeyRing, tmp_path: Path
) -> None:
    new = made(ring)
    assert ring.verify(new.token) == new.key
    text = (tmp_path / "keys.json").read_text()
    assert new.token not in text and new.token.split("_", 2)[2] not in text
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_every_key_differs_and_none_is_lost_when_many_are_made_at_once(ring: KeyRing) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: made(ring), range(24)))
    assert len({key.token for key in keys}) == 24
    assert {key.id for key in ring.all()} == {key.key.id for key in keys}


def test_a_token_with_any_character_changed_is_nobodys(ring: KeyRing) -> None:
    token = made(ring).token
    for at, character in enumerate(token):
        other = "A" if character != "A" else "B"
        assert ring.verify(token[:at] + other + token[at + 1 :]) is None


@given(st.text(max_size=120))
def test_any_other_text_is_nobodys(text: str) -> None:
    ring = KeyRing(Path("/nonexistent/keys.json"))
    assert ring.verify(text) is None
    assert ring.verify(f"phk_{text}") is None


def test_an_expired_key_is_nobodys(tmp_path: Path) -> None:
    clock = Clock()
    ring = KeyRing(tmp_path / "keys.json", now=clock)
    new = made(ring, lifetime=timedelta(hours=1))
    assert ring.live(new.key.id)
    clock.now = NOW + timedelta(hours=1)
    assert ring.verify(new.token) is None
    assert ring.live(new.key.id) is None


def test_another_process_revokes_and_the_next_call_is_refused(
    ring: KeyRing, tmp_path: Path
) -> None:
    new, stays = made(ring), made(ring)
    assert ring.verify(new.token)
    KeyRing(tmp_path / "keys.json").revoke(new.key.id)
    assert ring.verify(new.token) is None
    assert ring.live(new.key.id) is None
    assert ring.verify(stays.token)
    assert ring.revoke(new.key.id).revoked is not None
    with pytest.raises(PermanentError, match="no key"):
        ring.revoke("k000000000000")


def test_with_a_damaged_file_nobody_gets_in(ring: KeyRing, tmp_path: Path) -> None:
    new = made(ring)
    assert ring.verify(new.token)
    for damage in ("{", "[]", json.dumps({"keys": [{"id": "x"}]}), "\0"):
        (tmp_path / "keys.json").write_text(damage)
        assert ring.verify(new.token) is None
        with pytest.raises(PermanentError):
            ring.all()


def test_a_file_that_is_gone_opens_nothing(ring: KeyRing, tmp_path: Path) -> None:
    new = made(ring)
    assert ring.verify(new.token)
    (tmp_path / "keys.json").unlink()
    assert ring.verify(new.token) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ("*",)},
        {"scopes": ("files:*",)},
        {"scopes": ("emit:",)},
        {"tools": ("rm",)},
        {"folders": ("/",)},
        {"folders": ("../",)},
        {"folders": ("status",)},
        {"workspace": "model-api"},
        {"name": "x <a@b>"},
        {"name": "a\nb"},
    ],
)
def test_a_key_of_the_wrong_form_is_not_made(ring: KeyRing, wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"name": "x", "workspace": "ws-a", "scopes": ("files:read",)}
    with pytest.raises(ValidationError):
        ring.create(**{**given, **wrong})  # type: ignore[arg-type]  # that is the test
    assert ring.all() == ()


def test_every_tool_needs_a_scope_that_exists_and_every_scope_opens_a_tool() -> None:
    assert frozenset[str]().union(*TOOLS.values()) == SCOPES.keys()


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("scope", [*SCOPES, "emit:validated"])
def test_a_scope_opens_its_tools_and_no_other(tool: str, scope: str) -> None:
    assert may_call(tool, (scope,), ()) == (scope in TOOLS[tool])
    assert not may_call(tool, (scope,), ("no_tool",))
    assert not may_call(tool, (), ())


def test_an_unknown_tool_is_nobodys() -> None:
    assert not may_call("sampling", tuple(SCOPES), ())
