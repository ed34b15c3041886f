"""`python -m pilothouse.local.nodes`: simulated nodes as a process of their own."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import structlog

from pilothouse.local.nodes.simulator import NodeSimulator
from pilothouse.models.errors import PermanentError, TemporaryError

_log = structlog.get_logger()


def main() -> int:
    """Run until SIGTERM or SIGINT; returns the exit code, 1 if it could not start or broke."""
    parser = argparse.ArgumentParser(prog="python -m pilothouse.local.nodes", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--ca", type=Path, required=True, help="authority of client certificates")
    parser.add_argument("--certificate", type=Path, required=True, help="to serve with")
    parser.add_argument("--key", type=Path, required=True, help="the certificate's key")
    parser.add_argument("--nodes", type=int, default=2)
    arguments = parser.parse_args()
    level = structlog.make_filtering_bound_logger(logging.INFO)
    structlog.configure(wrapper_class=level)
    simulator = NodeSimulator(
        kubeconfig=arguments.kubeconfig,
        ca=arguments.ca,
        certificate=arguments.certificate,
        key=arguments.key,
        nodes=arguments.nodes,
    )
    try:
        asyncio.run(_serve(simulator))
    except (PermanentError, TemporaryError) as error:
        _log.error("simulated nodes cannot run", error=str(error))
        return 1
    return 0


async def _serve(simulator: NodeSimulator) -> None:
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    await simulator.start()
    _log.info("simulated nodes are ready")
    broken = asyncio.ensure_future(simulator.wait())
    stopping = asyncio.ensure_future(asked_to_stop.wait())
    await asyncio.wait({broken, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    broken.cancel()
    await asyncio.gather(broken, stopping, return_exceptions=True)
    await simulator.stop()
    _log.info("simulated nodes have stopped")


if __name__ == "__main__":
    sys.exit(main())
