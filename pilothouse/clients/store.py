"""The content store: bytes by their sha256. A directory on one machine."""

import os
import re
import tempfile
from pathlib import Path

from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import digest_of

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ContentStore:
    """Immutable bytes, addressed by digest.

    Manifests, plans, logs and transcripts live here; workflow history carries their digests. A
    read checks the digest again, so that a flipped byte on disk is an error, never an input.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, data: bytes) -> str:
        """Store some bytes and return their digest; the same bytes are stored once.

        Idempotent. Bytes that were altered on the disk are put right again.
        """
        digest = digest_of(data)
        path = self._path(digest)
        if path.exists() and path.read_bytes() == data:
            return digest
        path.parent.mkdir(exist_ok=True, mode=0o700)
        # A temporary name and a rename: a reader sees all of it or nothing, whenever we die.
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest.

        Raises:
            PermanentError: `StoreMiss`, not stored here; `DigestMismatch`, the stored bytes differ.
        """
        if not _DIGEST.fullmatch(digest):
            raise PermanentError("StoreMiss", f"{digest[:80]!r} is no sha256 digest")
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise PermanentError("StoreMiss", f"the content store has no {digest}") from None
        if digest_of(data) != digest:
            raise PermanentError("DigestMismatch", f"the stored bytes of {digest} were altered")
        return data

    def _path(self, digest: str) -> Path:
        hexadecimal = digest.removeprefix("sha256:")
        return self._directory / hexadecimal[:2] / hexadecimal[2:]
