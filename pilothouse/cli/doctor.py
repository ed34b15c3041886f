"""What this machine has."""

import shutil
import sys
from typing import NamedTuple

from pilothouse.clients.settings import read_settings
from pilothouse.local.controlplane import explain
from pilothouse.local.temporal_server import find_temporal
from pilothouse.models.errors import PermanentError


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool | None
    """None: only trying would tell."""
    detail: str
    needed: bool


async def examine() -> list[Check]:
    """Look at everything that the embedded services need; starts and downloads nothing."""
    settings = read_settings()
    version = sys.version.split()[0]
    checks = [Check("python", sys.version_info >= (3, 11), version, needed=True)]
    git = shutil.which("git")
    checks.append(Check("git", git is not None, git or "not on PATH: install git", needed=True))
    try:
        temporal = await find_temporal()
        checks.append(
            Check("temporal", True, f"{temporal.version} at {temporal.path}", needed=True)
        )
    except PermanentError as error:
        checks.append(Check("temporal", False, str(error), needed=True))
    steps = await explain(directory=settings.control_plane_dir, cache=settings.cache_dir)
    taken = next((step for step in steps if step.usable is not False), None)
    for step in steps:
        ok = step.usable
        checks.append(Check(f"control plane from {step.source}", ok, step.detail, needed=False))
    detail = f"would come from {taken.source}" if taken else "no way to one on this machine"
    checks.append(Check("control plane", taken is not None, detail, needed=True))
    checks.append(Check("data", True, str(settings.data_dir), needed=False))
    return checks
