"""The Git server as an object: start, stop, create; inside a program or alone."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import structlog
import uvicorn
from pydantic import SecretStr

from pilothouse.local.git_server.deliveries import Deliveries, Receiver
from pilothouse.local.git_server.repositories import Repositories
from pilothouse.local.git_server.transport import transport_app
from pilothouse.models.errors import PermanentError

GRACE_SECONDS = 5
"""How long pushes and fetches in flight may take at the end."""

_log = structlog.get_logger()


class GitServer:
    """Bare repositories at `http://localhost:<port>/<name>.git`, for everybody on this machine.

    There is no login: whoever can connect to loopback can push. Started again on the same
    directory and port, it goes on where it was, webhooks that wait included.

    Args:
        directory: where the repositories are; made if need be.
        port: 0 takes a free one.
        webhook_url: who is told of pushes, in GitHub's shape; None: nobody.
        webhook_secret: the key of the signatures; needed with `webhook_url`.

    Raises:
        PermanentError: `InvalidRequest`, the URL is none, or its secret is missing.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        webhook_url: str | None = None,
        webhook_secret: SecretStr | None = None,
    ) -> None:
        if webhook_url and webhook_secret is None:
            raise PermanentError("InvalidRequest", "webhooks are signed: give their secret, too")
        receiver = None
        if webhook_url and webhook_secret is not None:
            receiver = Receiver(webhook_url, webhook_secret)
        self._repositories = Repositories(directory)
        self._deliveries = Deliveries(self._repositories, receiver, lambda: self.base_url)
        self._port = port
        self._server: _Server | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @property
    def port(self) -> int:
        """The port; once started, the real one."""
        return self._port

    @property
    def base_url(self) -> str:
        """Where the server is, without a slash at the end."""
        return f"http://localhost:{self._port}"

    @property
    def delivery_log(self) -> Path:
        """A file with one line of JSON for each attempt to deliver a webhook."""
        return self._repositories.delivery_log

    def url(self, name: str) -> str:
        """Return a repository's clone URL."""
        return f"{self.base_url}/{name}.git"

    def create(self, name: str, *, default_branch: str = "main") -> Path:
        """Make an empty repository, `name` or `owner/name`, and return its folder. Idempotent.

        In webhooks, a name without an owner is told as `local/<name>`.

        Raises:
            PermanentError: `InvalidRequest`, the name is not allowed.
        """
        return self._repositories.create(name, default_branch=default_branch)

    def protect(self, name: str, branch: str) -> None:
        """Refuse every push to a branch from now on.

        Raises:
            PermanentError: `InvalidRequest`, there is no such repository.
        """
        self._repositories.protect(name, branch)

    async def start(self) -> None:
        """Listen; returns when connections are taken.

        Raises:
            PermanentError: `InvalidRequest`, the port is taken.
        """
        self._repositories.refresh()
        listener = _listen(self._port)
        self._port = listener.getsockname()[1]
        app = transport_app(self._repositories, self._deliveries.wake)
        self._server = _Server(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._tasks = (
            asyncio.create_task(self._server.serve(sockets=[listener])),
            asyncio.create_task(self._deliveries.run()),
        )
        _log.info("git_server.listening", url=self.base_url)

    async def stop(self) -> None:
        """Finish what is in flight and end. Idempotent."""
        if self._server is None:
            return
        self._server.should_exit = True
        serving, delivering = self._tasks
        await serving
        delivering.cancel()
        with suppress(asyncio.CancelledError):
            await delivering
        self._server, self._tasks = None, ()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.stop()


class _Server(uvicorn.Server):
    """Signals belong to the program that we are in."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise PermanentError(
            "InvalidRequest",
            f"the Git server cannot listen on port {port}: {error.strerror or error}. Stop what "
            "holds it, or choose another port",
        ) from error
