"""MCP servers that are programs: started at the first call, kept, started anew when they end."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from pilothouse.clients.mcp.faults import innermost
from pilothouse.models.errors import TemporaryError

_STOP_SECONDS = 10.0
"""The SDK closes the program's input, waits two seconds, terminates, waits, kills."""


class Program:
    """One running server program.

    A task of its own enters and leaves the SDK's client: what breaks inside must cancel that task
    and not the activity that happens to call.
    """

    def __init__(self, command: tuple[str, ...], variables: Mapping[str, str]) -> None:
        self._parameters = StdioServerParameters(
            command=command[0], args=list(command[1:]), env=dict(variables)
        )
        self._client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def client(self) -> Client:
        """The connected client; waits for the program to answer.

        Raises:
            TemporaryError: `ToolUnavailable`, it ended before it answered.
        """
        return await asyncio.shield(self._client)

    async def stop(self) -> None:
        """End the program, by force if it does not end by itself. Idempotent."""
        self._stopping.set()
        if not self._client.done():
            self._task.cancel()
        with suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(self._task), _STOP_SECONDS)

    async def _run(self) -> None:
        # Not our standard error: what the program writes there is untrusted and may hold secrets.
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: ASYNC230, PTH123 # a device
            try:
                transport = stdio_client(self._parameters, errlog=nowhere)
                async with Client(transport, mode="auto", cache=None) as client:
                    self._client.set_result(client)
                    await self._stopping.wait()
            except Exception as error:
                self._ended(innermost(error))
            finally:
                self._ended(None)

    def _ended(self, error: BaseException | None) -> None:
        if not self._client.done():
            why = f" ({type(error).__name__})" if error else ""
            self._client.set_exception(
                TemporaryError("ToolUnavailable", f"the server's program did not answer{why}")
            )
            self._client.exception()  # it has been seen, even if nobody waits for it
