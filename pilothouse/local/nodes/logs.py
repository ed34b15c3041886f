"""What simulated containers printed: the last lines of each, in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

MAX_LINES = 1000
"""Of each instance of a container; older lines are dropped."""


@dataclass(frozen=True)
class Line:
    """One line, numbered without gaps within its instance."""

    number: int
    at: float
    """Seconds since the epoch."""
    text: str


class ContainerLog:
    """The log of a container: of its present instance, and of the one before."""

    def __init__(self) -> None:
        self._instance: int | None = None
        self._lines: deque[Line] = deque(maxlen=MAX_LINES)
        self._previous: list[Line] | None = None
        self._open = False
        self._changed = asyncio.Event()

    @property
    def last(self) -> int:
        """Number of the present instance's last line, -1 if it has none."""
        return self._lines[-1].number if self._lines else -1

    def append(self, instance: int, at: float, text: str) -> None:
        """Add a line; the first of a new instance turns the present one into the previous."""
        if instance != self._instance:
            if self._instance is not None:
                self._previous = list(self._lines)
            self._lines = deque(maxlen=MAX_LINES)
            self._instance = instance
        number = self._lines[-1].number + 1 if self._lines else 0
        self._lines.append(Line(number, at, text))
        self._open = True
        self._wake()

    def close(self) -> None:
        """The present instance has ended: followers come to an end."""
        if self._open:
            self._open = False
            self._wake()

    def read(
        self, previous: bool = False, tail: int | None = None, since: float = 0.0
    ) -> list[Line] | None:
        """The lines of one instance, oldest first; None if there never was such an instance.

        Args:
            previous: of the instance before the present one.
            tail: the last so many lines; None for all.
            since: not those before this time, in seconds since the epoch.
        """
        if previous:
            lines = self._previous
        else:
            lines = None if self._instance is None else list(self._lines)
        if lines is None:
            return None
        recent = [line for line in lines if line.at >= since]
        return recent if tail is None else recent[max(0, len(recent) - tail) :]

    async def follow(self, after: int) -> AsyncIterator[Line]:
        """Yield lines of the present instance as they come, until it ends.

        Args:
            after: number of the last line that is already known, -1 for none.
        """
        instance = self._instance
        while True:
            changed = self._changed
            for line in list(self._lines) if instance == self._instance else ():
                if line.number > after:
                    after = line.number
                    yield line
            if not self._open or instance != self._instance:
                return
            await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
