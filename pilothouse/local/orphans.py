"""Children that die with their parent, even when it is killed."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def tied_to(parent: int) -> Callable[[], None] | None:
    """What the child does between fork and exec so that it dies with us; None where it cannot.

    Only Linux can. The kernel sends the signal when the *thread* that forked ends, not the
    process: a child started from a worker thread would die with that thread. The event loop forks
    in its own thread, so that thread must be one that lives as long as the child may.
    SIGKILL, because several children die at once and no order of a clean stop could be kept.
    """
    if not sys.platform.startswith("linux"):
        return None
    # Loaded before the fork: in the child, with other threads gone, nothing may take a lock.
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # We died between fork and prctl, so that no signal will ever come.
            os._exit(1)

    return tie
