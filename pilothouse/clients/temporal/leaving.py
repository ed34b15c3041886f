"""Ending a process that talked to Temporal."""

import logging
import os
import sys


def leave(end: SystemExit) -> None:
    """End this process as an exception would, but at once if the SDK's threads may still run.

    They hold Python objects while the interpreter takes itself apart, and one run in ten then dies
    by a signal after its work is done (temporalio 1.35): a script would take that for a failure.
    """
    if "temporalio.bridge.temporal_sdk_bridge" not in sys.modules:
        raise end
    if isinstance(end.code, str):
        sys.stderr.write(f"{end.code}\n")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
