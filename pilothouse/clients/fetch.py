"""Fetching what an outsider names: public addresses only, whatever the name resolves to.

The name is resolved once, every answer must be public, and the connection goes to exactly the
address that was judged; the socket is judged once more when it is made. Redirects are followed by
hand, each as a new question. No proxy, no cookies, no credentials, bounded in bytes and seconds.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pilothouse.models.errors import PermanentError, TemporaryError

MAX_URL: Final = 2048
MAX_REDIRECTS: Final = 3
MAX_BYTES: Final = 5 * 1024 * 1024
TIMEOUT_SECONDS: Final = 20.0
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: what ends in a number may be an address in disguise.
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+(?=[a-z]){_LABEL}")
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.:\[\]-]+?)(?P<port>:[0-9]{1,5})?"
    r"(?P<rest>[/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?"
)
_INWARD: Final = frozenset({
    *("arpa", "cluster", "corp", "home", "internal", "intranet", "lan", "local", "localdomain"),
    *("localhost", "private", "svc"),
})
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_TRANSITION: Final = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # IETF protocol assignments, Teredo among them: it embeds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
_SPECIAL: Final = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        "192.0.0.0/24",  # IETF protocol assignments; some clouds' metadata
        "192.88.99.0/24",  # 6to4 relays
    )
)

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Fetched(NamedTuple):
    """What came back."""

    url: str
    """Where it was found in the end."""
    status: int
    content_type: str
    data: bytes


class Target(NamedTuple):
    """A URL that was looked at as a whole."""

    url: str
    scheme: str
    host: str
    """Lower case, without brackets."""
    port: int


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    Addresses that carry another one inside (mapped, NAT64, 6to4, Teredo, ISATAP) are none.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        special = ip.is_multicast or ip.is_reserved or any(ip in network for network in _SPECIAL)
        return ip.is_global and not special
    if ip.scope_id or ip not in _UNICAST or any(ip in network for network in _TRANSITION):
        return False
    isatap = ip.packed[8:12] in {b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"}
    return ip.is_global and not isatap


def checked_target(url: str, *, allow_loopback: bool = False) -> Target:
    """Look at a URL before anything is resolved.

    Args:
        url: as somebody gave it; nothing in it is repaired.
        allow_loopback: for tests: http and any port on this machine.

    Raises:
        PermanentError: `ToolRefused`; the message says why and never repeats the URL.
    """
    match = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if match is None:
        raise _refused("it is no plain https URL without user, fragment and odd characters")
    host, scheme = match["host"].lower(), match["scheme"]
    port = int(match["port"][1:]) if match["port"] else (443 if scheme == "https" else 80)
    if allow_loopback and host in _LOOPBACK_NAMES and 0 < port < 65536:
        return Target(url, scheme, host.strip("[]"), port)
    if scheme != "https" or port != 443:
        raise _refused("only https on its usual port is allowed")
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise _refused("its host is no fully qualified name; addresses are not fetched")
    if host.rsplit(".", 1)[-1] in _INWARD:
        raise _refused("its host belongs to an inner network")
    split = urlsplit(url)
    if split.hostname != host or URL(url, encoded=True).raw_host != host:
        raise _refused("its host can be read in two ways")
    return Target(url, scheme, host, port)


class Fetcher:
    """Gets and posts to public addresses.

    Args:
        allow_loopback: for tests: this machine's own addresses too, over http and any port.
        resolve: name and port -> addresses; the system's resolver if not given.
        timeout: seconds for the whole of one call, redirects included.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        resolve: Resolve | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve or _system_resolve
        self._timeout = timeout

    async def get(self, url: str, *, max_bytes: int = MAX_BYTES) -> Fetched:
        """Get a document, following at most three redirects. Idempotent.

        Raises:
            PermanentError: `ToolRefused`: a URL or address on the way is not allowed, it answers
                no success, or with more than `max_bytes`, or compressed though not asked to.
            TemporaryError: `ToolUnavailable`: no answer in time.
        """
        seen = url
        async with self._session() as session:
            for _ in range(MAX_REDIRECTS + 1):
                target = checked_target(seen, allow_loopback=self._allow_loopback)
                async with session.get(
                    URL(target.url, encoded=True), allow_redirects=False
                ) as answer:
                    if answer.status not in {301, 302, 303, 307, 308}:
                        data = await _body(answer, max_bytes)
                        return Fetched(seen, answer.status, answer.content_type, data)
                    seen = urljoin(seen, answer.headers.get("Location", ""))
        raise _refused(f"it redirects more than {MAX_REDIRECTS} times")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post a body once and return the status. Not idempotent; redirects are not followed.

        Raises:
            PermanentError: `ToolRefused`, the URL or its address is not allowed.
            TemporaryError: `ToolUnavailable`: no answer in time.
        """
        target = checked_target(url, allow_loopback=self._allow_loopback)
        async with (
            self._session() as session,
            session.post(
                URL(target.url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            return answer.status

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """One call's connections; turns what can go wrong into our two errors."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                aiohttp.ClientSession(
                    connector=self._connector(),
                    trust_env=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    headers={"Accept-Encoding": "identity", "User-Agent": "pilothouse"},
                ) as session,
            ):
                yield session
        except TimeoutError:
            raise TemporaryError("ToolUnavailable", "no answer in time: try again later") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TemporaryError(
                "ToolUnavailable", f"the connection failed ({type(error).__name__}): try again"
            ) from error

    def _connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            resolver=_PublicResolver(self._resolve, self._allow_loopback),
            use_dns_cache=False,
            force_close=True,
            socket_factory=self._socket,
        )

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The last gate: no socket is made for an address that is not public."""
        family, kind, protocol, _, address = info
        _check_address(str(address[0]), allow_loopback=self._allow_loopback)
        return socket.socket(family, kind, protocol)


class _PublicResolver(AbstractResolver):
    """Answers only if every address of a name is public."""

    def __init__(self, resolve: Resolve, allow_loopback: bool) -> None:
        self._resolve = resolve
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses to connect to; the connection goes to no other."""
        addresses = await self._resolve(host, port)
        loopback = self._allow_loopback and host == "localhost"
        for address in addresses:
            _check_address(address, allow_loopback=loopback)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


async def _system_resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _check_address(address: str, *, allow_loopback: bool) -> None:
    if allow_loopback and address in {"127.0.0.1", "::1"}:
        return
    if not is_public(address):
        raise _refused("its name leads to an address that is not public")


async def _body(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    if not 200 <= answer.status < 300:
        raise _refused(f"it answers {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _refused("it is compressed, though not asked to be")
    if (answer.content_length or 0) > max_bytes:
        raise _refused(f"it holds more than {max_bytes} bytes")
    data = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        data += chunk
        if len(data) > max_bytes:
            raise _refused(f"it holds more than {max_bytes} bytes")
    return bytes(data)


def _refused(why: str) -> PermanentError:
    return PermanentError("ToolRefused", f"the URL is refused: {why}")
