"""API keys: shown once, kept as digests, scoped, expiring, and revoked at the next call."""

import fcntl
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from zlib import crc32

import structlog
from pydantic import AwareDatetime, StringConstraints, ValidationError

from pilothouse.models.base import Declaration, explain
from pilothouse.models.errors import PermanentError
from pilothouse.models.workspace import KeyId
from pilothouse.workspace.scopes import Scope, ToolName

PREFIX: Final = "phk"
"""Begins every key, so that scanners of leaked secrets find it."""
DEFAULT_DAYS: Final = 90
_NOBODY: Final = "0" * 64

_log = structlog.get_logger()

Folder = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*/$")]
WorkspaceId = Annotated[str, StringConstraints(pattern=r"^ws-[a-z0-9][a-z0-9-]{0,60}$")]
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}$")]


class ApiKey(Declaration):
    """What is known of a key; the key itself is not."""

    id: KeyId
    name: KeyName
    """Whose it is; the author of the commits that it makes."""
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """sha256 of the whole key: 256 random bits need no slower hash."""
    workspace: WorkspaceId
    scopes: tuple[Scope, ...]
    tools: tuple[ToolName, ...] = ()
    """Narrows the scopes to these tools; empty: every tool of the scopes."""
    folders: tuple[Folder, ...] = ("status/",)
    """Where `files:write` may write."""
    environment: str = ""
    """The one environment that the key's locks and commands are about; empty: none."""
    created: AwareDatetime
    expires: AwareDatetime
    revoked: AwareDatetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it counts at this moment."""
        return self.revoked is None and now < self.expires


class _KeysFile(Declaration):
    keys: tuple[ApiKey, ...] = ()


class NewKey(NamedTuple):
    """A key and what is known of it."""

    token: str
    """Shown once; it cannot be found again."""
    key: ApiKey


class KeyRing:
    """The keys of one file, read anew whenever the file has changed.

    Args:
        path: a JSON file with mode 0600; no file means no key.
        now: the time, for tests.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._path = path
        self._now = now
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def verify(self, token: str) -> ApiKey | None:
        """The live key that this token is, or None. Compares in constant time."""
        identity = _identity(token)
        key = self._fresh().get(identity)
        offered = sha256(token.encode(errors="replace")).hexdigest()
        matches = hmac.compare_digest(offered, key.digest if key else _NOBODY)
        return key if key and matches and key.is_live(self._now()) else None

    def live(self, identity: str) -> ApiKey | None:
        """The key of this id, if it still counts: asked on every call, also within a session."""
        key = self._fresh().get(identity)
        return key if key and key.is_live(self._now()) else None

    def all(self) -> tuple[ApiKey, ...]:
        """Every key, the oldest first, revoked and expired ones too.

        Raises:
            PermanentError: `InvalidRequest`, the file is damaged.
        """
        return self._read()

    def create(
        self,
        *,
        name: str,
        workspace: str,
        scopes: tuple[str, ...],
        tools: tuple[str, ...] = (),
        folders: tuple[str, ...] = ("status/",),
        environment: str = "",
        lifetime: timedelta = timedelta(days=DEFAULT_DAYS),
    ) -> NewKey:
        """Make a key and remember its digest. Not idempotent.

        Raises:
            pydantic.ValidationError: a scope, tool, folder or name is none.
            PermanentError: `InvalidRequest`, the file is damaged.
        """
        identity = f"k{secrets.token_hex(6)}"
        body = f"{PREFIX}_{identity}_{secrets.token_urlsafe(32)}"
        token = f"{body}_{_checksum(body)}"
        now = self._now()
        key = ApiKey(
            id=identity,
            name=name,
            digest=sha256(token.encode()).hexdigest(),
            workspace=workspace,
            scopes=scopes,
            tools=tools,
            folders=folders,
            environment=environment,
            created=now,
            expires=now + lifetime,
        )
        with self._writing():
            self._write((*self._read(), key))
        return NewKey(token, key)

    def revoke(self, identity: str) -> ApiKey:
        """End a key from the next call on. Idempotent.

        Raises:
            PermanentError: `InvalidRequest`, there is no such key.
        """
        with self._writing():
            keys = {key.id: key for key in self._read()}
            if identity not in keys:
                raise PermanentError("InvalidRequest", f"there is no key {identity[:40]!r}")
            key = keys[identity]
            if key.revoked is None:
                key = keys[identity] = key.model_copy(update={"revoked": self._now()})
                self._write(tuple(keys.values()))
        return key

    def _fresh(self) -> dict[str, ApiKey]:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._keys = {key.id: key for key in self._read()}
                self._seen = seen
        except FileNotFoundError:
            self._keys, self._seen = {}, None
        except (OSError, PermanentError) as error:
            # Closed, not open: with a damaged file nobody gets in, and the log says why.
            _log.error("workspace.keys_unreadable", error=str(error))
            self._keys, self._seen = {}, None
        return self._keys

    def _read(self) -> tuple[ApiKey, ...]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return _KeysFile.model_validate(document).keys
        except FileNotFoundError:
            return ()
        except ValidationError as error:
            raise PermanentError("InvalidRequest", f"{self._path}: {explain(error)}") from None
        except ValueError:
            raise PermanentError("InvalidRequest", f"{self._path} is not JSON") from None

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        text = json.dumps(_KeysFile(keys=keys).model_dump(mode="json"), indent=1)
        # mkstemp gives mode 0600; the rename shows readers the old file or the new one.
        handle, draft = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(self._path)

    @contextmanager
    def _writing(self) -> Generator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_name(f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _identity(token: str) -> str:
    """The id that a token claims; empty if it is none of ours or was mistyped."""
    body, _, checksum = token.rpartition("_")
    parts = body.split("_", 2)
    if len(token) > 200 or not token.isascii() or len(parts) != 3 or parts[0] != PREFIX:
        return ""
    return parts[1] if checksum == _checksum(body) else ""


def _checksum(body: str) -> str:
    return f"{crc32(body.encode()):08x}"
