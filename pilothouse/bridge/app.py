"""The bridge as an ASGI application, with its journal and dispatcher around it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pilothouse.bridge.configuration import BridgeConfiguration
from pilothouse.bridge.dispatcher import Dispatcher, EventSender
from pilothouse.bridge.health import Health
from pilothouse.bridge.journal import Journal
from pilothouse.bridge.webhooks import Webhooks

STOP_TIMEOUT = timedelta(seconds=5)
"""How long signals in flight may take at the end; what was cut off is sent at the next start."""


@asynccontextmanager
async def bridge_app(
    configuration: BridgeConfiguration, connect: Callable[[], Awaitable[EventSender]]
) -> AsyncIterator[Starlette]:
    """Open the journal, start handing over, and yield the application.

    Args:
        configuration: what is accepted, and from whom.
        connect: opens the way to Temporal; called when first needed and again after it failed, so
            the bridge accepts events while Temporal is away.

    Raises:
        JournalUnavailableError: the journal cannot be opened.
    """
    journal = await Journal.open(
        configuration.journal, limit_bytes=configuration.journal_limit_bytes
    )
    repositories = {each.key: each.repository for each in configuration.repositories}
    retention = timedelta(days=configuration.retention_days)
    dispatcher = Dispatcher(journal, repositories, connect, retention=retention)
    handing_over = asyncio.create_task(dispatcher.run(), name="bridge dispatcher")
    try:
        yield _application(configuration, journal, dispatcher)
    finally:
        dispatcher.stop()
        await asyncio.wait([handing_over], timeout=STOP_TIMEOUT.total_seconds())
        handing_over.cancel()
        await asyncio.gather(handing_over, return_exceptions=True)
        await journal.close()


def _application(
    configuration: BridgeConfiguration, journal: Journal, dispatcher: Dispatcher
) -> Starlette:
    webhooks = Webhooks(configuration, journal, dispatcher)
    health = Health(journal, dispatcher)
    return Starlette(
        routes=[
            Route("/webhooks/github", webhooks.github, methods=["POST"]),
            Route("/healthz", health.alive),
            Route("/readyz", health.ready),
        ],
        middleware=[
            Middleware(
                TrustedHostMiddleware,
                allowed_hosts=configuration.allowed_hosts,
                www_redirect=False,
            )
        ],
        exception_handlers={HTTPException: _refusal},
    )


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):  # Starlette's signature is wider than its promise
        raise error
    return JSONResponse(
        {"accepted": False, "reason": error.detail}, error.status_code, error.headers
    )
