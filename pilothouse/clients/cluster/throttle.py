"""How many requests may be in flight: fewer after the server says that it is busy."""

import asyncio
import time
from collections import deque
from typing import Final

CONCURRENCY: Final = 16
"""Requests in flight to one API server: beyond it a small one gets slower, not faster."""
_PAUSE: Final = 0.5
"""Seconds in which many refusals count as one: they answer the same burst."""


class Throttle:
    """A gate for requests that narrows by half when told to, and widens by one a round.

    Additive increase, multiplicative decrease, as TCP does it: several clients of one busy server
    end up with equal shares.
    """

    def __init__(self, most: int = CONCURRENCY) -> None:
        self._most = most
        self._width = float(most)
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._narrowed = -_PAUSE

    @property
    def width(self) -> int:
        """How many may be inside now."""
        return int(self._width)

    async def __aenter__(self) -> None:
        while self._inside >= self.width:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    # It was our turn: pass it on.
                    self._wake()
                raise
        self._inside += 1

    async def __aexit__(self, *error: object) -> None:
        self._inside -= 1
        self._wake()

    def narrow(self) -> None:
        """The server is busy."""
        now = time.monotonic()
        if now - self._narrowed >= _PAUSE:
            self._narrowed = now
            self._width = max(1.0, self._width / 2)

    def widen(self) -> None:
        """The server answered."""
        if self._width < self._most:
            self._width = min(float(self._most), self._width + 1 / self._width)

    def _wake(self) -> None:
        free = self.width - self._inside
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
