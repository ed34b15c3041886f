"""Delivers the webhooks of pushes: in order, signed, again if need be, and written down."""

import asyncio
import hmac
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from pilothouse.local.git_server.payloads import Webhook, parse_push, webhooks
from pilothouse.local.git_server.repositories import Repositories
from pilothouse.models.errors import PermanentError

POLL_SECONDS = 1.0
"""How soon a push is seen that did not come through the server."""
SEND_SECONDS = 10.0
"""How long a receiver may take to answer; GitHub waits as long."""
BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses between attempts: enough for a bridge that is being restarted."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class Receiver:
    """Where webhooks go, and the key that they are signed with."""

    url: str
    secret: SecretStr

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise PermanentError(
                "InvalidRequest", "the webhook URL is no http or https URL, or holds credentials"
            )


class Deliveries:
    """Takes pushes from the folder where the hook puts them, until it is cancelled.

    A push stays there until each of its webhooks was taken or given up: what a stop or a crash
    interrupts is delivered at the next start, with the same delivery ids.
    """

    def __init__(
        self, repositories: Repositories, receiver: Receiver | None, base_url: Callable[[], str]
    ) -> None:
        self._repositories = repositories
        self._receiver = receiver
        self._base_url = base_url
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now: something was pushed."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver, for as long as the server lives."""
        while True:
            self._wake.clear()
            for file in _in_order(self._repositories.pending):
                try:
                    await self._deliver_push(file)
                except OSError as error:
                    # One file that cannot be read or moved must not hold up the others.
                    _log.error("git_server.push_not_told", file=str(file), error=repr(error))
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue

    async def _deliver_push(self, file: Path) -> None:
        at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        push = parse_push(file.name, file.read_text(encoding="utf-8", errors="replace"), at)
        repository = self._repositories.find(push.name)
        if repository is None or self._receiver is None:
            file.unlink()
            return
        taken = True
        for webhook in await webhooks(push, repository, self._base_url()):
            taken = await self._deliver(self._receiver, webhook) and taken
        if taken:
            file.unlink()
        else:
            file.rename(self._repositories.failed / file.name)

    async def _deliver(self, receiver: Receiver, webhook: Webhook) -> bool:
        body = json.dumps(webhook.payload, separators=(",", ":")).encode()
        headers = signed_headers(webhook, body, receiver.secret)
        for attempt, pause in enumerate((*BACK_OFF_SECONDS, None), start=1):
            status, problem = await asyncio.to_thread(_post, receiver.url, body, headers)
            self._write_down(webhook, attempt, status, problem)
            if 200 <= status < 300:
                return True
            # A refusal stays one; a busy, broken or absent receiver may come back.
            if pause is None or (400 <= status < 500 and status not in {408, 429}):
                break
            await asyncio.sleep(pause)
        _log.warning("git_server.webhook_given_up", delivery=webhook.delivery, status=status)
        return False

    def _write_down(self, webhook: Webhook, attempt: int, status: int, problem: str) -> None:
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "delivery": webhook.delivery,
            "event": webhook.event,
            "ref": webhook.payload.get("ref", ""),
            "number": webhook.payload.get("number", 0),
            "attempt": attempt,
            "status": status,
            "problem": problem,
        }
        with self._repositories.delivery_log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def signed_headers(webhook: Webhook, body: bytes, secret: SecretStr) -> dict[str, str]:
    """Return a webhook's headers: GitHub's names, HMAC-SHA256 over the very bytes of the body."""
    digest = hmac.digest(secret.get_secret_value().encode(), body, "sha256").hex()
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/pilothouse",
        "X-GitHub-Event": webhook.event,
        "X-GitHub-Delivery": webhook.delivery,
        "X-Hub-Signature-256": f"sha256={digest}",
    }


def _in_order(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    """Send once; returns the status, or 0 and why there is none. Follows no redirect, no proxy."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SEND_SECONDS)
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        connection.request("POST", target, body=body, headers=headers)
        response = connection.getresponse()
        response.read(64 * 1024)
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    else:
        return response.status, ""
    finally:
        connection.close()
