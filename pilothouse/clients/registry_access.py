"""Who may be asked for an image, in which way, and with which credential."""

import base64
import binascii
import ipaddress
import json
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from pilothouse.models.errors import PermanentError

_DEFAULT_REGISTRY = "docker.io"
_DEFAULT_ENDPOINT = "registry-1.docker.io"
"""The image grammar's default names no host that answers; this one does."""
_PARAMETER = re.compile(r'([a-z]+)="([^"]*)"')


class RefusedError(Exception):
    """A request is not made, or its answer not taken; the message says why."""


def endpoint(registry: str, insecure: frozenset[str]) -> URL:
    """Where a registry's API is: https, save for this machine and the hosts that a setting names.

    Raises:
        RefusedError: no request is made to such a host.
    """
    host = _DEFAULT_ENDPOINT if registry == _DEFAULT_REGISTRY else registry
    name = URL(f"https://{host}").host or ""
    refuse_link_local(name)
    scheme = "http" if registry in insecure or _is_loopback(name) else "https"
    return URL(f"{scheme}://{host}")


def check_next(registry: URL, target: URL) -> None:
    """Whether a registry may send us to another address: to itself, or to a host of its domain.

    Raises:
        RefusedError: it may not.
    """
    if target.scheme != registry.scheme and target.scheme != "https":
        raise RefusedError(f"the registry sends us to plain http at {target.host}")
    ours, theirs = registry.host or "", target.host or ""
    parent = ours.partition(".")[2]
    sibling = "." in parent and not _is_address(ours)
    if theirs == ours and target.port == registry.port:
        return
    if not (sibling and (theirs == parent or theirs.endswith(f".{parent}"))):
        raise RefusedError(f"the registry sends us to another host, {theirs[:200]}")


def refuse_link_local(host: str) -> None:
    """Addresses that only a machine's own surroundings have, such as a cloud's metadata.

    Raises:
        RefusedError: the host is such an address.
    """
    if _is_address(host) and ipaddress.ip_address(host.strip("[]")).is_link_local:
        raise RefusedError(f"{host} is a link-local address")


def bearer_challenge(header: str) -> tuple[URL, str]:
    """The realm and the service of a `WWW-Authenticate` header.

    Raises:
        RefusedError: it asks for another scheme than Bearer, or names no realm.
    """
    scheme, _, rest = header.partition(" ")
    fields = dict(_PARAMETER.findall(rest))
    if scheme.lower() != "bearer" or "realm" not in fields:
        raise RefusedError("the registry asks for a login that is not supported or not set")
    try:
        realm = URL(fields["realm"])
    except ValueError as error:
        raise RefusedError("the registry's login has no valid address") from error
    if not realm.host:
        raise RefusedError("the registry's login has no valid address")
    return realm, fields.get("service", "")


class GuardedResolver(AbstractResolver):
    """Resolves names, and drops addresses that only this machine's surroundings have."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """As aiohttp asks; an empty list is an unknown host."""
        found = await self._inner.resolve(host, port, family)
        kept = [each for each in found if not ipaddress.ip_address(each["host"]).is_link_local]
        if not kept:
            raise OSError(f"{host} has no address that may be asked")
        return kept

    async def close(self) -> None:
        """Nothing is held."""
        await self._inner.close()


def read_credentials(file: Path | None) -> dict[str, str]:
    """Registry -> value of the Authorization header, from a Docker configuration file.

    Without a file there are none. Only what stands in the file itself counts: credential helpers
    are programs, and not run.

    Raises:
        PermanentError: `InvalidRequest`: the file cannot be read, or is none.
    """
    if file is None:
        return {}
    try:
        document = json.loads(file.read_bytes())
        entries = document.get("auths", {})
        return {_host_of(host): _basic(entry) for host, entry in entries.items() if _has(entry)}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        # The error may quote what it could not read.
        raise PermanentError(
            "InvalidRequest",
            f"PILOTHOUSE_REGISTRY_CREDENTIALS: {file} is no Docker configuration file that can "
            f"be read ({type(error).__name__})",
        ) from None


def _has(entry: Mapping[str, str]) -> bool:
    return bool(entry.get("auth") or entry.get("username"))


def _basic(entry: Mapping[str, str]) -> str:
    pair = entry.get("auth")
    if not pair:
        plain = f"{entry['username']}:{entry['password']}"
        pair = base64.b64encode(plain.encode()).decode()
    try:
        base64.b64decode(pair, validate=True)
    except binascii.Error as error:
        raise ValueError("auth") from error
    return f"Basic {pair}"


def _host_of(key: str) -> str:
    """The registry that a key means: `https://index.example.org/v1/` names one with a path."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return _DEFAULT_REGISTRY if host.endswith(f".{_DEFAULT_REGISTRY}") else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (
        _is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback
    )
