"""`python -m pilothouse.local.controlplane`: get the programs now, so that no test waits for it."""

import asyncio
import sys

from pilothouse.clients.settings import read_settings
from pilothouse.local.controlplane.binaries import find_control_plane
from pilothouse.models.errors import PermanentError


def main() -> int:
    """Write progress to stderr and the folder of the programs to stdout; returns the exit code."""
    settings = read_settings()
    try:
        found = asyncio.run(
            find_control_plane(
                directory=settings.control_plane_dir,
                cache=settings.cache_dir,
                progress=_say,
            )
        )
    except PermanentError as error:
        _say(str(error))
        return 1
    sys.stdout.write(f"{found.path}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
