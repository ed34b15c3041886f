"""Who calls, whether they may, how often, and the line that says so afterwards."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Final, NamedTuple

import structlog
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from pydantic import JsonValue, SecretStr

from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.workspace.configuration import Target, Workspace
from pilothouse.workspace.keys import ApiKey, KeyRing
from pilothouse.workspace.scopes import may_call

_AUDITED_PATHS: Final = ("path", "source", "destination", "workspace_path")

_log = structlog.get_logger()


class Caller(NamedTuple):
    """One call's key, and the one workspace that it opens."""

    key: ApiKey
    workspace: Workspace

    @property
    def target(self) -> Target:
        """The key's environment.

        Raises:
            PermanentError: `ToolRefused`, it has none.
        """
        target = self.workspace.environments.get(self.key.environment)
        if target is None:
            raise PermanentError(
                "ToolRefused", "this key is bound to no environment: make one with --environment"
            )
        return target

    def require(self, scope: str) -> None:
        """Refuse unless the key has a scope that one form of a tool needs.

        Raises:
            PermanentError: `ToolRefused`.
        """
        if scope not in self.key.scopes:
            raise PermanentError("ToolRefused", f"this needs a key with the scope {scope}")


class Audit:
    """What a call leaves in the log: facts that the tool adds as it learns them."""

    def __init__(self) -> None:
        self.revision = ""
        self.operation = ""


_caller: ContextVar[Caller] = ContextVar("caller")
_audit: ContextVar[Audit] = ContextVar("audit")


def caller() -> Caller:
    """Whose call this is; only within a call that the gate has let in."""
    return _caller.get()


def note(*, revision: str = "", operation: str = "") -> None:
    """Add to the audit line of this call."""
    entry = _audit.get()
    entry.revision = revision or entry.revision
    entry.operation = operation or entry.operation


class Gate:
    """Lets calls in, one by one: the key is looked up anew for each.

    It is also the SDK's `TokenVerifier`.

    Args:
        keys: the file of keys.
        workspaces: what is served, by id.
        calls_per_minute: of each key.
        own_key: stdio: the key of the one caller; HTTP callers bring theirs.
        clock: seconds that never go back, for tests.
    """

    def __init__(
        self,
        keys: KeyRing,
        workspaces: Mapping[str, Workspace],
        *,
        calls_per_minute: int,
        own_key: SecretStr | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._workspaces = workspaces
        self._pace = calls_per_minute
        self._own_key = own_key
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    async def verify_token(self, token: str) -> AccessToken | None:
        """Answer the SDK: who brings this token; None: nobody that we know."""
        key = self._keys.verify(token)
        if key is None or key.workspace not in self._workspaces:
            return None
        return AccessToken(
            token="",  # nothing after this needs it, so nothing after this can leak it
            client_id=key.id,
            scopes=list(key.scopes),
            expires_at=int(key.expires.timestamp()),
            subject=key.workspace,
        )

    def tools(self, offered: list[str]) -> set[str]:
        """Which of the offered tools the present caller may call; none without a live key."""
        present = self._present()
        if present is None:
            return set()
        return {name for name in offered if may_call(name, present.key.scopes, present.key.tools)}

    @asynccontextmanager
    async def call(self, tool: str, arguments: Mapping[str, JsonValue]) -> AsyncIterator[None]:
        """Let one call in or refuse it, and write the audit line either way.

        Raises:
            PermanentError: `ToolRefused`: no live key, not a tool of this key, too many calls.
        """
        present, audit, started = self._present(), Audit(), self._clock()
        outcome = "error"
        try:
            if present is None:
                raise PermanentError("ToolRefused", "the key is unknown, expired or revoked")
            if not may_call(tool, present.key.scopes, present.key.tools):
                raise PermanentError("ToolRefused", f"this key may not call {tool[:40]!r}")
            self._slow_down(present.key.id)
            _caller.set(present)
            _audit.set(audit)
            yield
            outcome = "done"
        except (PermanentError, TemporaryError) as error:
            outcome = error.type
            raise
        finally:
            _log.info(
                "workspace.call",
                key=present.key.id if present else "",
                workspace=present.workspace.id if present else "",
                tool=tool[:40],
                paths=_digests(arguments),
                outcome=outcome,
                revision=audit.revision,
                operation=audit.operation,
                seconds=round(self._clock() - started, 3),
            )

    def _present(self) -> Caller | None:
        key: ApiKey | None
        if self._own_key is not None:
            key = self._keys.verify(self._own_key.get_secret_value())
        else:
            token = get_access_token()
            key = self._keys.live(token.client_id) if token else None
        workspace = self._workspaces.get(key.workspace) if key else None
        return Caller(key, workspace) if key and workspace else None

    def _slow_down(self, key: str) -> None:
        """A bucket of a minute's calls for each key, which fills at that pace."""
        now = self._clock()
        left, then = self._buckets.get(key, (float(self._pace), now))
        left = min(float(self._pace), left + (now - then) * self._pace / 60)
        if left < 1:
            raise PermanentError(
                "ToolRefused", f"more than {self._pace} calls a minute: wait before the next"
            )
        self._buckets[key] = (left - 1, now)


def _digests(arguments: Mapping[str, JsonValue]) -> list[str]:
    """The paths of a call, so that the same ones can be found again, but not what they say."""
    paths = [arguments.get(name) for name in _AUDITED_PATHS]
    return [sha256(path.encode()).hexdigest()[:16] for path in paths if isinstance(path, str)]
