"""Tells a story on a terminal or into a log: lines, and what is waited for."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.table import Table

from pilothouse.cli.console import say

QUIET_SECONDS = 10.0
"""Without a terminal, a wait says that it goes on this often."""


class Narrator:
    """Prints the story; knows since when it runs."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._news = ""
        self._out = Console(highlight=False, soft_wrap=True)

    def chapter(self, title: str) -> None:
        """A numbered step begins."""
        say()
        say(title, style="bold")

    def line(self, text: str = "", indent: int = 3) -> None:
        """One line of the story."""
        say(" " * indent + text)

    def command(self, text: str) -> None:
        """A line that a person can paste."""
        for part in text.splitlines():
            self.line(part, indent=5)

    def progress(self, text: str) -> None:
        """News of a long wait; shown with the wait, or at once without one."""
        self._news = text

    def table(self, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """The end of the story."""
        table = Table(*head)
        for row in rows:
            table.add_row(*row)
        say()
        self._out.print(table, markup=False)

    @asynccontextmanager
    async def waiting(self, what: str) -> AsyncIterator[None]:
        """Say what is waited for, how long already, and how long it took."""
        started = time.monotonic()
        self._news = ""
        ticking = asyncio.create_task(self._tick(what, started))
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        self._erase()
        self.line(f"{what}: {time.monotonic() - started:.1f} s")

    async def _tick(self, what: str, started: float) -> None:
        live = sys.stdout.isatty()
        while True:
            await asyncio.sleep(0.5 if live else QUIET_SECONDS)
            news = f"; {self._news}" if self._news else ""
            text = f"{what} ... {time.monotonic() - started:.0f} s{news}"
            if live:
                self._erase()
                sys.stdout.write(f"   {text}"[: self._out.width - 1])
                sys.stdout.flush()
            else:
                self.line(text)

    def _erase(self) -> None:
        if sys.stdout.isatty():
            sys.stdout.write("\r\x1b[2K")
            sys.stdout.flush()
