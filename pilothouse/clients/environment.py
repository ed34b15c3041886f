"""The process's environment, for what must be known before the settings can be afforded.

Settings are models, and models take longer to import than a cached answer takes to print. Together
with `settings`, which reads everything else, this is the only place that looks at `os.environ`.
"""

import os
from pathlib import Path


def data_home() -> Path:
    """Where data stands by default."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "pilothouse"


def cache_home() -> Path:
    """Where what can be made again stands by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pilothouse"


def cache_dir() -> Path:
    """`Settings.cache_dir`, without the settings; a test compares the two."""
    configured = os.environ.get("PILOTHOUSE_CACHE_DIR")
    return Path(configured) if configured else cache_home()


def own_variables() -> dict[str, str]:
    """Every variable that settings are read from, and where programs are looked for."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PILOTHOUSE_") or name == "PATH"
    }
