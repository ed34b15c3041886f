"""git_clone, import_url, send_webhook: what touches the world outside."""

import asyncio
import hmac
import json
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from pydantic import JsonValue

from pilothouse.clients.fetch import Fetcher
from pilothouse.clients.git import GitMirrors
from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import RepositoryRef
from pilothouse.workspace.gate import caller, note
from pilothouse.workspace.paths import repository_path, writable_path
from pilothouse.workspace.share_links import download_url
from pilothouse.workspace.stage_events import check_event
from pilothouse.workspace.status_branch import operation_id
from pilothouse.workspace.tools.writing import (
    MAX_CONTENT,
    FileWritten,
    IdempotencyKey,
    WritingTools,
)

MAX_CLONE_FILES: Final = 500
MAX_CLONE_BYTES: Final = 8 * 1024 * 1024
MAX_PAYLOAD: Final = 64 * 1024


class Imported(FileWritten):
    """A document that was fetched and committed."""

    source: str
    """Where its bytes came from in the end."""
    digest: str
    size: int
    """Bytes."""


class Cloned(FileWritten):
    """A repository's files, copied and committed."""

    cloned_revision: str
    files: int
    left_out: int
    """Links, submodules, files over 1 MiB, and names that a workspace does not take."""


class Posted(Contract):
    """What a receiver answered."""

    url: str
    status: int
    delivered: bool
    delivery: str
    """The delivery id that the receiver saw: the same for the same idempotency key."""


class OutsideTools:
    """Everything here is bounded, and goes only where the settings or the public internet are."""

    def __init__(self, writing: WritingTools, fetcher: Fetcher, clones: GitMirrors) -> None:
        self._writing = writing
        self._fetcher = fetcher
        self._clones = clones

    async def import_url(
        self, url: str, path: str, idempotency_key: IdempotencyKey = ""
    ) -> Imported:
        """Fetch a public document over https and write it to a path below this key's folders.

        Share links of Google Drive, OneDrive, Box and Dropbox are understood.
        """
        plain = _changeable(path)
        fetched = await self._fetcher.get(download_url(url), max_bytes=MAX_CONTENT)
        operation = operation_id(caller().key, "import_url", idempotency_key, url, plain)
        written = await self._writing.commit({plain: fetched.data}, f"Import {plain}", operation)
        return Imported(
            **written.model_dump(),
            path=f"/{plain}",
            source=fetched.url,
            digest=f"sha256:{sha256(fetched.data).hexdigest()}",
            size=len(fetched.data),
        )

    async def git_clone(
        self, repo_url: str, workspace_path: str, idempotency_key: IdempotencyKey = ""
    ) -> Cloned:
        """Copy another repository's files, at its default branch, below one of this key's folders.

        Only repositories that the server's settings list.
        """
        repository = _allowed(repo_url)
        folder = writable_path(f"{workspace_path.rstrip('/')}/file", caller().key.folders)
        prefix = folder.removesuffix("file")
        revision, files, left_out = await asyncio.to_thread(self._files, repository)
        changes: dict[str, bytes | None] = {}
        for name, data in files.items():
            changes[_changeable(prefix + name)] = data
        operation = operation_id(caller().key, "git_clone", idempotency_key, repo_url, prefix)
        subject = f"Clone {revision[:12]} to {prefix}"
        written = await self._writing.commit(changes, subject, operation)
        return Cloned(
            **written.model_dump(),
            path=f"/{prefix}",
            cloned_revision=revision,
            files=len(changes),
            left_out=left_out,
        )

    async def send_webhook(
        self, url: str, payload: dict[str, JsonValue], idempotency_key: IdempotencyKey = ""
    ) -> Posted:
        """Post a signed JSON body to a host that the server's settings allow.

        The header X-Pilothouse-Signature-256 is the HMAC-SHA256 of the body. Called again with the
        same idempotency key, the receiver sees the same X-Pilothouse-Delivery.
        """
        present = caller()
        secret = present.workspace.webhook_secret
        host = urlsplit(url).netloc.lower() if url.isascii() else ""
        if secret is None or host not in present.workspace.webhook_hosts:
            raise PermanentError(
                "ToolRefused", "the host is not among `webhook_hosts` in the server's settings"
            )
        body = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
        if len(body) > MAX_PAYLOAD:
            raise PermanentError("ToolRefused", "the payload is larger than 64 KiB")
        delivery = operation_id(present.key, "send_webhook", idempotency_key, url, body.decode())
        note(operation=delivery)
        signature = hmac.digest(secret.get_secret_value().encode(), body, "sha256").hex()
        status = await self._fetcher.post(
            url,
            body,
            {
                "Content-Type": "application/json",
                "X-Pilothouse-Signature-256": f"sha256={signature}",
                "X-Pilothouse-Delivery": delivery,
                "X-Pilothouse-Key": present.key.id,
            },
        )
        return Posted(url=url, status=status, delivered=200 <= status < 300, delivery=delivery)

    def _files(self, repository: RepositoryRef) -> tuple[str, dict[str, bytes], int]:
        revision = self._clones.head(repository, repository.default_ref)
        if revision is None:
            raise PermanentError("ToolRefused", "the repository to clone has no default branch")
        files: dict[str, bytes] = {}
        left_out = 0
        for file in self._clones.files(
            repository, revision, max_file_bytes=MAX_CONTENT, max_total_bytes=MAX_CLONE_BYTES
        ):
            if file.data is None or not _is_taken(file.path):
                left_out += 1
                continue
            files[file.path] = file.data
            if len(files) > MAX_CLONE_FILES:
                raise PermanentError(
                    "ToolRefused", f"the repository holds more than {MAX_CLONE_FILES} files"
                )
        return revision, files, left_out


def _changeable(path: str) -> str:
    plain = writable_path(path, caller().key.folders)
    check_event(plain, caller().key, by_writing=False)
    return plain


def _is_taken(path: str) -> bool:
    try:
        return bool(repository_path(path))
    except PermanentError:
        return False


def _allowed(url: str) -> RepositoryRef:
    """The repository of this URL, if the settings let `git_clone` copy it.

    Raises:
        PermanentError: `ToolRefused`.
    """
    for repository in caller().workspace.clone_from:
        if repository.url == url:
            return repository
    raise PermanentError(
        "ToolRefused", "git_clone copies only what `clone_from` lists in the server's settings"
    )
