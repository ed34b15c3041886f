"""The gate: pace and audit. Who gets in stands in the keys' and the server's tests."""

from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import RepositoryRef
from pilothouse.workspace.configuration import Workspace
from pilothouse.workspace.gate import Gate, caller, note
from pilothouse.workspace.keys import KeyRing

WORKSPACE = Workspace(
    id="ws-a",
    repository=RepositoryRef(url="https://example.com/team/a.git"),
    status_branch="pilothouse/status",
)


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def gate(tmp_path: Path, clock: Seconds) -> Gate:
    ring = KeyRing(tmp_path / "keys.json")
    token = ring.create(name="x", workspace="ws-a", scopes=("files:read",)).token
    return Gate(
        ring, {"ws-a": WORKSPACE}, calls_per_minute=6, own_key=SecretStr(token), clock=clock
    )


async def test_a_key_may_call_so_often_and_again_after_a_while(gate: Gate, clock: Seconds) -> None:
    for _ in range(6):
        async with gate.call("list_files", {}):
            assert caller().workspace == WORKSPACE
    with pytest.raises(PermanentError, match="6 calls a minute"):
        async with gate.call("list_files", {}):
            raise AssertionError("let in")
    clock.now = 10
    async with gate.call("list_files", {}):
        note(revision="r")
    with pytest.raises(PermanentError, match="calls a minute"):
        async with gate.call("list_files", {}):
            raise AssertionError("let in")


async def test_a_crash_within_a_call_is_audited_as_an_error(gate: Gate) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(ZeroDivisionError):
        async with gate.call("list_files", {"path": "/secret-name", "content": "canary"}):
            note(operation="o")
            raise ZeroDivisionError
    assert (logs[0]["outcome"], logs[0]["operation"]) == ("error", "o")
    assert "canary" not in str(logs) and "secret-name" not in str(logs)


async def test_a_key_of_a_workspace_that_is_not_served_is_nobodys(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    token = ring.create(name="x", workspace="ws-b", scopes=("files:read",)).token
    elsewhere = Gate(ring, {"ws-a": WORKSPACE}, calls_per_minute=6)
    assert await elsewhere.verify_token(token) is None
    own = Gate(ring, {"ws-a": WORKSPACE}, calls_per_minute=6, own_key=SecretStr(token))
    assert own.tools(["list_files"]) == set()
    with pytest.raises(PermanentError, match="unknown, expired or revoked"):
        async with own.call("list_files", {}):
            raise AssertionError("let in")


async def test_what_the_sdk_learns_of_a_caller_holds_no_key(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    new = ring.create(name="x", workspace="ws-a", scopes=("files:read",))
    access = await Gate(ring, {"ws-a": WORKSPACE}, calls_per_minute=6).verify_token(new.token)
    assert access is not None
    assert (access.client_id, access.scopes) == (new.key.id, ["files:read"])
    assert new.token not in repr(access)
