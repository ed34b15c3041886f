"""One way to connect, so that worker, bridge, `pilothouse` and `temporal` agree on the server."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime

from pilothouse.clients.temporal.converter import DATA_CONVERTER
from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError, TemporaryError

CONNECT_TIMEOUT = timedelta(seconds=10)
DEFAULT_ADDRESS = "localhost:7233"
"""Where the `temporal` CLI looks when nothing is configured."""


class TemporalConnection(Contract):
    """Where Temporal is, when a program knows better than the `temporal` CLI's configuration.

    An empty field falls back to `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_PROFILE`,
    `TEMPORAL_CONFIG_FILE` and the CLI's own profile file, in the CLI's order. API keys and client
    certificates come from there only.
    """

    address: str = ""
    """`host:port` of the frontend's gRPC service."""
    namespace: str = ""
    profile: str = ""
    config_file: Path | None = None


async def connect(
    connection: TemporalConnection | None = None,
    *,
    timeout: timedelta = CONNECT_TIMEOUT,
    identity: str | None = None,
    runtime: Runtime | None = None,
) -> Client:
    """Connect to Temporal; payloads are pydantic models.

    Once connected, the client reconnects by itself.

    Args:
        connection: what overrides the `temporal` CLI's configuration.
        timeout: how long one attempt may take.
        identity: who we are in histories; by default `<pid>@<host>`.
        runtime: telemetry, if the caller configured any.

    Raises:
        TemporaryError: `TemporalUnavailable`, nothing answers there, or not as Temporal does.
        PermanentError: `InvalidRequest`, the configuration itself is wrong.
    """
    options = _options(connection or TemporalConnection())
    address = options["target_host"]
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            return await Client.connect(
                **options,
                data_converter=DATA_CONVERTER,
                identity=identity,
                runtime=runtime,
            )
    except TimeoutError:
        raise _unavailable(address, f"no answer in {timeout.total_seconds():g} s") from None
    except RuntimeError as error:
        # The SDK quotes its transport's error, with its types; people need the last words of it.
        said = re.search(r'message: "([^"]+)"', str(error))
        raise _unavailable(address, said[1] if said else str(error)) from error
    except ValueError as error:
        raise PermanentError(
            "InvalidRequest", f"Temporal's address {address!r} is not host:port: {error}"
        ) from error


def _options(connection: TemporalConnection) -> ClientConnectConfig:
    try:
        options = ClientConfig.load_client_connect_config(
            profile=connection.profile or None,
            config_file=str(connection.config_file) if connection.config_file else None,
        )
    except RuntimeError as error:  # what the SDK raises for a missing profile or broken TOML
        raise PermanentError(
            "InvalidRequest",
            f"Temporal's client configuration cannot be read: {error}. Check TEMPORAL_PROFILE and "
            "TEMPORAL_CONFIG_FILE, or run `temporal config list`",
        ) from error
    options["target_host"] = connection.address or options.get("target_host") or DEFAULT_ADDRESS
    if connection.namespace:
        options["namespace"] = connection.namespace
    return options


def _unavailable(address: str, why: str) -> TemporaryError:
    return TemporaryError(
        "TemporalUnavailable",
        f"Temporal does not answer at {address}: {why}. Start it (`pilothouse up`, or `temporal "
        "server start-dev`), or set TEMPORAL_ADDRESS to where it runs",
    )
