"""The simulator's one clock."""

import time


def clock() -> float:
    """Seconds since the epoch."""
    return time.time()
