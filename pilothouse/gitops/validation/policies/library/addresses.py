"""`ip(...)`, `cidr(...)` and `url(...)`."""

import re
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from cel_expr_python import cel

from pilothouse.gitops.validation.policies.library.opaque import (
    OPAQUE,
    Opaque,
    function,
    method,
    methods,
    succeeds,
    text_of,
)

_IP: Final = "ip"
_CIDR: Final = "cidr"
_URL: Final = "url"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _ip(written: str) -> Opaque:
    address = ip_address(written)
    if "%" in written or (isinstance(address, IPv6Address) and address.ipv4_mapped is not None):
        raise ValueError(f"IP address {written!r} has a zone or an IPv4 address in it")
    return {_IP: str(address)}


def _address(value: object) -> IPv4Address | IPv6Address:
    if isinstance(value, str):
        value = _ip(value)
    return ip_address(text_of(value, _IP))


def _is_global_unicast(value: object) -> bool:
    address = _address(value)
    limited = isinstance(address, IPv4Address) and address == IPv4Address("255.255.255.255")
    return not (
        limited
        or address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
    )


def _is_link_local_multicast(value: object) -> bool:
    address = _address(value)
    if isinstance(address, IPv4Address):
        return str(address).startswith("224.0.0.")
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 0x02


def _cidr(written: str) -> Opaque:
    if "/" not in written or not written.rpartition("/")[2].isdecimal():
        raise ValueError(f"network address parse error: {written!r} has no prefix length")
    interface = ip_interface(written)
    _ip(str(interface.ip))
    return {_CIDR: str(interface)}


def _network(value: object) -> IPv4Interface | IPv6Interface:
    if isinstance(value, str):
        value = _cidr(value)
    return ip_interface(text_of(value, _CIDR))


def _contains_network(value: object, other: object) -> bool:
    outer, inner = _network(value).network, _network(other).network
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


def _url(written: str) -> Opaque:
    if not (_SCHEME.match(written) or written.startswith("/")) or " " in written:
        raise ValueError(f"URL parse error: {written!r} is neither absolute nor an absolute path")
    urlsplit(written)
    return {_URL: written}


def _queries(value: object) -> dict[str, list[str]]:
    return parse_qs(urlsplit(text_of(value, _URL)).query, keep_blank_values=True)


def _host(value: object) -> str:
    return urlsplit(text_of(value, _URL)).netloc.rpartition("@")[2]


def _port(value: object) -> str:
    port = urlsplit(text_of(value, _URL)).port
    return "" if port is None else str(port)


def _host_name(value: object) -> str:
    return _host(value).removesuffix(f":{_port(value)}").strip("[]")


_TEXT, _BOOL, _INT = cel.Type.STRING, cel.Type.BOOL, cel.Type.INT
ADDRESSES: Final = (
    cel.FunctionDecl(
        "ip",
        [
            cel.Overload("kubernetes_ip", return_type=OPAQUE, parameters=[_TEXT], impl=_ip),
            cel.Overload(
                "kubernetes_cidr_ip",
                return_type=OPAQUE,
                parameters=[OPAQUE],
                is_member=True,
                impl=lambda value: {_IP: str(_network(value).ip)},
            ),
        ],
    ),
    function("isIP", _BOOL, _TEXT, run=succeeds(_ip)),
    function("ip.isCanonical", _BOOL, _TEXT, run=lambda value: _ip(value)[_IP] == value),
    method("family", _INT, OPAQUE, run=lambda value: _address(value).version),
    method("isUnspecified", _BOOL, OPAQUE, run=lambda value: _address(value).is_unspecified),
    method("isLoopback", _BOOL, OPAQUE, run=lambda value: _address(value).is_loopback),
    method("isLinkLocalMulticast", _BOOL, OPAQUE, run=_is_link_local_multicast),
    method("isLinkLocalUnicast", _BOOL, OPAQUE, run=lambda value: _address(value).is_link_local),
    method("isGlobalUnicast", _BOOL, OPAQUE, run=_is_global_unicast),
    function(_CIDR, OPAQUE, _TEXT, run=_cidr),
    function("isCIDR", _BOOL, _TEXT, run=succeeds(_cidr)),
    methods(
        "containsIP",
        _BOOL,
        (OPAQUE, OPAQUE),
        (OPAQUE, _TEXT),
        run=lambda value, other: _address(other) in _network(value).network,
    ),
    methods("containsCIDR", _BOOL, (OPAQUE, OPAQUE), (OPAQUE, _TEXT), run=_contains_network),
    method("masked", OPAQUE, OPAQUE, run=lambda value: {_CIDR: str(_network(value).network)}),
    method("prefixLength", _INT, OPAQUE, run=lambda value: _network(value).network.prefixlen),
    function(_URL, OPAQUE, _TEXT, run=_url),
    function("isURL", _BOOL, _TEXT, run=succeeds(_url)),
    method("getScheme", _TEXT, OPAQUE, run=lambda value: urlsplit(text_of(value, _URL)).scheme),
    method("getHost", _TEXT, OPAQUE, run=_host),
    method("getHostname", _TEXT, OPAQUE, run=_host_name),
    method("getPort", _TEXT, OPAQUE, run=_port),
    method(
        "getEscapedPath",
        _TEXT,
        OPAQUE,
        run=lambda value: quote(urlsplit(text_of(value, _URL)).path, safe="/%:@!$&'()*+,;=~-._"),
    ),
    method("getQuery", cel.Type.Map(_TEXT, cel.Type.List(_TEXT)), OPAQUE, run=_queries),
)
"""Functions of addresses, networks and URLs."""
