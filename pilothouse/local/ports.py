"""Free ports on the loopback interface."""

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """Choose distinct TCP ports that nobody listens on, on 127.0.0.1.

    All are held open until the last is chosen, so they differ from each other. Between this call
    and the server's own `bind` another program may still take one: start servers at once, and try
    again with new ports when one says "address already in use".
    """
    with ExitStack() as held:
        return tuple(_hold(held) for _ in range(count))


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go and asyncio do: connections of an earlier run in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _hold(held: ExitStack) -> int:
    server = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    server.bind((LOOPBACK, 0))
    port: int = server.getsockname()[1]
    return port
