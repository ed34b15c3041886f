"""One bare mirror on disk: made whole or not at all, locked by writers, thrown away if damaged."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import structlog

from pilothouse.clients.git.environment import (
    Credentials,
    local_environment,
    network_environment,
)
from pilothouse.clients.git.failures import Scrubber, is_damaged, network_error
from pilothouse.clients.git.process import Finished, run_git
from pilothouse.models.errors import PermanentError, TemporaryError

KEPT = "refs/kept/"
"""A ref `refs/kept/<revision>` says that the revision is here with all that belongs to it."""
REMOTE = "refs/remote/"
"""Where all of the remote's refs go if it does not give out a revision by its id."""

LOCAL_SECONDS = 60.0
"""No local command takes this long on a repository of desired state."""
MAX_PACKS = 40
"""Each fetch adds a pack; beyond this they are put together."""
_LOCK_POLL_SECONDS = 0.02
_URL_FILE = "pilothouse-url"

# Compared byte by byte: a mirror whose configuration somebody changed is not used.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
"""

_log = structlog.get_logger()


class MirrorDamagedError(Exception):
    """Git found the mirror's own files broken; it can be fetched anew."""


class Mirror:
    """The mirror of one URL.

    Several threads and processes may use it at once: readers need no lock, since Git's objects
    never change; writers hold `locked()`.
    """

    def __init__(self, directory: Path, url: str, credentials: Credentials, timeout: float) -> None:
        name = sha256(url.encode()).hexdigest()[:40]
        self._path = directory / f"{name}.git"
        self._lock = directory / f"{name}.lock"
        self._url = url
        self._credentials = credentials
        self._timeout = timeout
        self._seen: int | None = None
        self.scrubber = Scrubber(credentials.words())

    @property
    def path(self) -> Path:
        """The bare repository."""
        return self._path

    @property
    def url(self) -> str:
        """What it mirrors; checked."""
        return self._url

    def prepare(self) -> None:
        """Make the mirror if it is not there or not as we make it. Idempotent.

        Raises:
            TemporaryError: `RepositoryUnavailable`, somebody else holds the mirror for too long.
        """
        if not self._is_whole():
            with self.locked():
                if not self._is_whole():
                    self._discard()
                    self._make()
        self._seen = self._inode()

    def discard(self) -> None:
        """Throw the mirror away; `prepare` makes a new one.

        Not if another process has made a new one since our `prepare`: that one is not damaged.
        """
        with self.locked():
            if self._seen == self._inode():
                self._discard()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the mirror against every other writer, in this process or another.

        Raises:
            TemporaryError: `RepositoryUnavailable`, it stayed held for longer than any command
                may take.
        """
        deadline = time.monotonic() + 2 * self._timeout + LOCAL_SECONDS
        with self._lock.open("ab") as file:
            while not _try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise TemporaryError(
                        "RepositoryUnavailable", f"another process holds the mirror {self._lock}"
                    )
                time.sleep(_LOCK_POLL_SECONDS)
            yield

    def run(
        self, *arguments: str, stdin: bytes | None = None, timeout: float = LOCAL_SECONDS
    ) -> Finished:
        """Run a command that stays on this machine.

        Raises:
            MirrorDamagedError: Git found the mirror broken.
        """
        return self._judged(
            run_git(
                self._path,
                arguments,
                environment=local_environment(self._path),
                stdin=stdin,
                timeout=timeout,
            )
        )

    def exchange(self, *arguments: str) -> Finished:
        """Run a command that talks to the mirror's URL, and can talk to nothing else.

        Raises:
            MirrorDamagedError: Git found the mirror broken.
        """
        return self._judged(
            run_git(
                self._path,
                arguments,
                environment=network_environment(self._path, self._url, self._credentials),
                timeout=self._timeout,
            )
        )

    def failure(self, finished: Finished) -> PermanentError | TemporaryError:
        """Say what a failed exchange means, without anything that is nobody's business."""
        return network_error(finished, self.scrubber)

    def tidy(self) -> None:
        """Put many packs together. The caller holds the lock; a failure costs speed only."""
        packs = sum(1 for _ in (self._path / "objects" / "pack").glob("*.pack"))
        if packs <= MAX_PACKS:
            return
        finished = self.run("gc", "--quiet", timeout=10 * LOCAL_SECONDS)
        if finished.code != 0:
            _log.warning(
                "git.mirror_not_tidied",
                mirror=self._path.name,
                error=self.scrubber.clean(finished.error),
            )

    def _judged(self, finished: Finished) -> Finished:
        if finished.code != 0 and (not self._is_whole() or is_damaged(finished)):
            raise MirrorDamagedError(finished.error)
        return finished

    def _is_whole(self) -> bool:
        try:
            return (
                (self._path / _URL_FILE).read_text(encoding="utf-8") == self._url
                and (self._path / "config").read_text(encoding="utf-8") == _CONFIG
                and (self._path / "HEAD").read_text(encoding="utf-8").startswith("ref: refs/")
                and (self._path / "objects" / "pack").is_dir()
                and (self._path / "refs").is_dir()
            )
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return False

    def _inode(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _make(self) -> None:
        # No `git init`: it copies whatever template the machine's packager chose.
        temporary = Path(tempfile.mkdtemp(prefix=self._path.stem, dir=self._path.parent))
        for folder in ("objects/pack", "objects/info", "refs/heads", "info"):
            (temporary / folder).mkdir(parents=True)
        (temporary / "HEAD").write_text("ref: refs/heads/nothing\n", encoding="utf-8")
        (temporary / "config").write_text(_CONFIG, encoding="utf-8")
        (temporary / _URL_FILE).write_text(self._url, encoding="utf-8")
        temporary.rename(self._path)

    def _discard(self) -> None:
        if not os.path.lexists(self._path):
            return
        # Renamed first: whoever dies while deleting leaves nothing that looks like a mirror.
        grave = Path(tempfile.mkdtemp(prefix=f"{self._path.stem}.gone-", dir=self._path.parent))
        self._path.rename(grave / "mirror")
        shutil.rmtree(grave, ignore_errors=True)
        _log.warning("git.mirror_discarded", mirror=self._path.name)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
