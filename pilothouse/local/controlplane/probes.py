"""Asking our own servers on the loopback interface whether they serve."""

import ssl
from http import HTTPStatus
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from pilothouse.local.processes import Probe

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)


def loopback_client(
    ca: Path,
    *,
    certificate: tuple[Path, Path] | None = None,
    token: SecretStr | None = None,
) -> aiohttp.ClientSession:
    """An HTTPS client that trusts one authority only, and goes through no proxy.

    Args:
        ca: the authority's certificate, PEM.
        certificate: our own certificate and its key, PEM.
        token: sent as bearer token.
    """
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        headers=headers,
        timeout=_TIMEOUT,
        trust_env=False,
    )


def answers(client: aiohttp.ClientSession, url: str) -> Probe:
    """A probe that is satisfied by status 200; a refused connection is "not yet"."""

    async def probe() -> bool:
        try:
            async with client.get(url) as response:
                return response.status == HTTPStatus.OK
        except aiohttp.ClientError:
            return False

    return probe
