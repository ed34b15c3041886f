"""Asking our own servers on the loopback interface whether they serve."""

import ssl
from pathlib import Path

import httpx2
from pydantic import SecretStr

from pilothouse.local.processes import Probe

_TIMEOUT_SECONDS = 5.0


def loopback_client(
    ca: Path,
    *,
    certificate: tuple[Path, Path] | None = None,
    token: SecretStr | None = None,
) -> httpx2.AsyncClient:
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
    return httpx2.AsyncClient(
        verify=context, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
    )


def answers(client: httpx2.AsyncClient, url: str) -> Probe:
    """A probe that is satisfied by status 200; a refused connection is "not yet"."""

    async def probe() -> bool:
        try:
            response = await client.get(url)
        except httpx2.TransportError:
            return False
        return response.status_code == httpx2.codes.OK

    return probe
