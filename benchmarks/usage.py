"""What processes use, from /proc: the peak of their resident memory, and CPU seconds.

Children are counted with their parents. Memory that two processes share counts for each, as in the
figures of other tools that we are compared with.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

LOOK_SECONDS = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT = 1
"""Places in /proc/PID/stat behind the program's name."""
_CPU_TIMES = slice(11, 15)
"""User and system time, its own and that of its children which ended."""


class Usage:
    """Of some processes and their children, from now on."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = frozenset(pids)
        self._cpu_before = self._cpu()
        self._peak = 0

    @property
    def peak_rss_mib(self) -> int:
        """The largest sum of resident memory that was seen."""
        return round(self._peak / 2**20)

    @property
    def cpu_s(self) -> float:
        """CPU seconds since the beginning."""
        return round(self._cpu() - self._cpu_before, 2)

    def look(self) -> None:
        """See how much memory is used now."""
        family = _family(self._pids)
        programs = {pid: _program(pid) for pid in family}
        # A child that has not begun its own program yet still shows its parent's memory as its own.
        self._peak = max(
            self._peak,
            sum(
                _resident(pid)
                for pid, fields in family.items()
                if programs[pid] != programs.get(int(fields[_PARENT]))
            ),
        )

    def _cpu(self) -> float:
        ticks = sum(sum(map(int, fields[_CPU_TIMES])) for fields in _family(self._pids).values())
        return ticks / _TICKS


@asynccontextmanager
async def measured(pids: Iterable[int]) -> AsyncIterator[Usage]:
    """Look at processes again and again."""
    usage = Usage(pids)

    async def look() -> None:
        while True:
            usage.look()
            await asyncio.sleep(LOOK_SECONDS)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        yield usage
        looking.cancel()


def _family(roots: frozenset[int]) -> dict[int, list[str]]:
    """The processes and all that they started: process id -> the fields of its `stat`."""
    everybody = {int(folder.name): _stat(folder) for folder in Path("/proc").glob("[0-9]*")}
    family = {pid: fields for pid in roots if (fields := everybody.get(pid))}
    grown = True
    while grown:
        children = {
            pid: fields
            for pid, fields in everybody.items()
            if fields and pid not in family and int(fields[_PARENT]) in family
        }
        family |= children
        grown = bool(children)
    return family


def _stat(folder: Path) -> list[str]:
    _, _, fields = _read(folder / "stat").rpartition(")")
    return fields.split()


def _program(pid: int) -> str:
    return _read(Path("/proc", str(pid), "cmdline"))


def _resident(pid: int) -> int:
    fields = _read(Path("/proc", str(pid), "statm")).split()
    return int(fields[1]) * _PAGE if fields else 0


def _read(path: Path) -> str:
    """A file of /proc; empty if the process has ended."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""
