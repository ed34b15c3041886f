"""`POST /webhooks/github`: verified, read, journalled, and only then accepted."""

import asyncio
import re

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from pilothouse.bridge.configuration import BridgeConfiguration, WatchedRepository
from pilothouse.bridge.dispatcher import Dispatcher
from pilothouse.bridge.intake import read_body
from pilothouse.bridge.journal import Journal
from pilothouse.bridge.journal_file import Entry, JournalUnavailableError
from pilothouse.bridge.payloads import (
    KNOWN_EVENTS,
    Ignored,
    MalformedError,
    read_pull_request,
    read_push,
    repository_named_in,
)
from pilothouse.bridge.signatures import Keyring, Opened

RETRY_AFTER = {"Retry-After": "30"}
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,64}")
_READERS = {"push": read_push, "pull_request": read_pull_request}
_SMALL = 64 * 1024
"""Bodies above are verified in a thread: with many secrets they would hold up the others."""

_log = structlog.get_logger()


class Webhooks:
    """The forge's door."""

    def __init__(
        self, configuration: BridgeConfiguration, journal: Journal, dispatcher: Dispatcher
    ) -> None:
        self._configuration = configuration
        self._repositories = {each.key: each for each in configuration.repositories}
        self._keyring = Keyring(configuration)
        self._journal = journal
        self._dispatcher = dispatcher

    async def github(self, request: Request) -> JSONResponse:
        """Answer one delivery; every refusal is an HTTPException that says what to change."""
        body = await read_body(
            request,
            max_bytes=self._configuration.max_body_bytes,
            seconds=self._configuration.body_seconds,
        )
        opened = await self._verified(body, request.headers.get("x-hub-signature-256", ""))
        event = request.headers.get("x-github-event", "")
        if not event:
            raise HTTPException(400, "the X-GitHub-Event header is missing")
        if event == "ping":
            return JSONResponse({"pong": True})
        if event not in _READERS:
            known = "starts nothing here" if event in KNOWN_EVENTS else "is not known here"
            return _ignored(f"this event {known}: select push and pull_request")
        try:
            return await self._accept(event, body, opened, _delivery(request))
        except MalformedError as error:
            raise HTTPException(400, f"not a {event} event: {error}") from error

    async def _verified(self, body: bytes, signature: str) -> Opened:
        if len(body) > _SMALL:
            opened = await asyncio.to_thread(self._keyring.verify, body, signature)
        else:
            opened = self._keyring.verify(body, signature)
        if opened is None:
            raise HTTPException(
                401,
                "X-Hub-Signature-256 is missing or does not fit: give the webhook the same secret",
            )
        return opened

    async def _accept(self, event: str, body: bytes, opened: Opened, delivery: str) -> JSONResponse:
        watched = self._named(repository_named_in(body), opened)
        happening = _READERS[event](body, watched.repository, delivery)
        if isinstance(happening, Ignored):
            return _ignored(happening.reason)
        entry = Entry(watched.key, happening.fingerprint, happening.event)
        try:
            new = await self._journal.append(entry)
        except JournalUnavailableError as error:
            _log.error("bridge.journal_unavailable", reason=str(error), delivery=delivery)
            raise HTTPException(
                503, "the journal cannot be written: deliver this again later", RETRY_AFTER
            ) from error
        self._dispatcher.wake()
        return JSONResponse(
            {"accepted": True, "delivery": delivery, "duplicate": not new}, status_code=202
        )

    def _named(self, full_name: str, opened: Opened) -> WatchedRepository:
        watched = self._repositories.get(full_name.casefold())
        if watched is None:
            source = self._configuration.repositories_source
            raise HTTPException(404, f"{full_name} is not configured here: add it to {source}")
        if not opened.covers(watched):
            raise HTTPException(401, f"the signature is not made with a secret of {full_name}")
        return watched


def _delivery(request: Request) -> str:
    delivery = request.headers.get("x-github-delivery", "")
    if not _DELIVERY.fullmatch(delivery):
        raise HTTPException(
            400, "X-GitHub-Delivery is missing or is not 1 to 64 letters, digits and dashes"
        )
    return delivery


def _ignored(reason: str) -> JSONResponse:
    return JSONResponse({"accepted": False, "ignored": True, "reason": reason})
