"""A model server on loopback that says what a test tells it, in whatever broken way.

Plain sockets instead of a web framework: half a body, a byte a second or a reset connection are
things that frameworks are made to prevent.
"""

import asyncio
import json
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer, whole or broken."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    seconds_per_byte: float = 0
    """A drip: how long each byte takes."""
    cut_after: int | None = None
    """Bytes of the promised body that are sent before the connection is closed."""
    reset: bool = False
    """The connection is reset instead of an answer."""
    hang: bool = False
    """Nothing is ever answered."""


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class ProviderServer:
    """Answers each request with the next scripted answer; the last one is given for ever."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.asked = asyncio.Event()
        """Set when a request came."""
        self.idle = asyncio.Event()
        """Set while no connection is open."""
        self._answers: deque[Answer] = deque()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        if self._writers:
            await self.idle.wait()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, *answers: Answer) -> None:
        """Answer the next requests with these; what was said before is forgotten."""
        self._answers = deque(answers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.idle.clear()
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, which some tests are about
        finally:
            writer.close()
            self._writers.discard(writer)
            if not self._writers:
                self.idle.set()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection lives on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(method, path, headers, json.loads(body or b"{}")))
        self.asked.set()
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        return await _give(answer, reader, writer)


async def _give(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    if answer.hang:
        await reader.read()
        return False
    if answer.reset:
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body))}
    lines = [f"HTTP/1.1 {answer.status} x"]
    lines += [f"{name}: {value}" for name, value in (headers | answer.headers).items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    body = answer.body[: answer.cut_after]
    if answer.seconds_per_byte:
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(answer.seconds_per_byte)
    else:
        writer.write(body)
    await writer.drain()
    return answer.cut_after is None
