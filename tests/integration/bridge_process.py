"""A bridge in a process of its own, for tests that kill it: `bridge_process.py FOLDER PORT`.

The folder holds `repositories.yaml` and gets `journal.db`. Instead of Temporal stands the file
`sent`: one delivery a line. While the file `away` exists, Temporal is away.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from pilothouse.bridge.configuration import BridgeConfiguration, load_repositories
from pilothouse.bridge.dispatcher import EventSender
from pilothouse.bridge.server import run_bridge
from pilothouse.models.errors import TemporaryError
from pilothouse.models.repository import RepositoryEvent, RepositoryRef


class FileSender:
    """Writes down what it is sent."""

    def __init__(self, folder: Path) -> None:
        self._away = folder / "away"
        self._sent = folder / "sent"

    async def send_event(self, repository: RepositoryRef, event: RepositoryEvent) -> None:
        """Append the delivery."""
        if self._away.exists():
            raise TemporaryError("TemporalUnavailable", "away", delay=timedelta(milliseconds=50))
        with self._sent.open("a") as file:
            file.write(f"{event.delivery}\n")


async def main(folder: Path, port: int) -> None:
    """Serve until SIGTERM."""

    async def connect() -> EventSender:
        return FileSender(folder)

    configuration = BridgeConfiguration(
        journal=folder / "journal.db",
        repositories=load_repositories(folder / "repositories.yaml"),
        port=port,
    )
    await run_bridge(configuration, connect_sender=connect)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
