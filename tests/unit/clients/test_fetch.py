"""What an outsider names is fetched from public addresses only."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from pilothouse.clients.fetch import Fetcher, checked_target, is_public
from pilothouse.models.errors import PermanentError, TemporaryError

LOOPBACK = ("127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "127.255.255.254", "2130706433",
            "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.000.000.001", "[::1]",
            "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
            "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost", "LOCALHOST", "localhost.",
            "localhost.localdomain", "foo.localhost", "ip6-localhost")  # fmt: skip
METADATA = ("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
            "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fe80::1]", "[fe80::1%25eth0]",
            "[fd00:ec2::254]", "metadata.google.internal", "metadata", "instance-data.ec2.internal",
            "100.100.100.200", "192.0.0.192", "[2001:0:a9fe:a9fe::1]",
            "[2606:4700::5efe:a9fe:a9fe]")  # fmt: skip
PRIVATE = ("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
           "192.168.1.1", "100.64.0.1", "198.18.0.1", "192.88.99.1", "224.0.0.1", "240.0.0.1",
           "255.255.255.255", "[fc00::1]", "[fd12:3456:789a::1]", "[ff02::1]", "[fec0::1]",
           "192.0.2.1", "198.51.100.7", "203.0.113.9", "[2001:db8::1]", "[100::1]",
           "kubernetes.default.svc.cluster.local", "kubernetes.default.svc", "printer.local",
           "db.internal", "wiki.corp", "nas.home", "router.lan", "1.0.0.127.in-addr.arpa",
           "intranet", "host.docker.internal", "8.8.8.8", "1.1.1.1",
           "[2606:4700:4700::1111]")  # fmt: skip
SHAPES = (
    "", " ", "https://", "https:///", "//example.com/", "example.com", "https:example.com/x",
    "https:/example.com", "https:\\\\example.com", "https://example.com\\@127.0.0.1/",
    "https://example.com#@127.0.0.1/", "https://example.com/#x", "https://user@example.com/",
    "https://user:word@example.com/", "https://:@example.com/", "https://127.0.0.1@example.com/",
    "https://example.com:80/", "https://example.com:22/", "https://example.com:8443/",
    "https://example.com:6443/", "https://example.com:0/", "https://example.com:99999/",
    "https://example.com:/", "https://example.com:-1/", "https://example.com:443:80/",
    "http://example.com/", "http://example.com:443/", "ftp://example.com/", "file:///etc/passwd",
    "file://example.com/etc/passwd", "gopher://example.com/_x", "dict://example.com:11211/",
    "data:text/plain,x", "javascript:alert(1)", "jar:https://example.com!/", "ldap://example.com/",
    "unix:///run/docker.sock", "ssh://git@example.com/x", "HTTPS://example.com/",
    "https://example.com/\r\nHost: 127.0.0.1", "https://example.com/\n", "\thttps://example.com/",
    " https://example.com/", "https://example.com/ x", "https://exa\tmple.com/",
    "https://example.com\x00.evil.com/", "https://example.com%00@127.0.0.1/",
    "https://example.com%2f@127.0.0.1/", "https://127.0.0.1%2f.example.com/",
    "https://example。com/", "https://①②⑦.⓪.⓪.①/", "https://ⓛocalhost/", "https://еxample.com/",
    "https://example.com\u200b/", "https://[::1].example.com/", "https://[example.com]/",
    "https://example.com]/", "https://[::1/", "https://::1/", "https://example..com/",
    "https://.example.com/", "https://-example.com/", "https://example-.com/", "https://com/",
    "https://example.com./", "https://exam_ple.com/", "https://*.example.com/",
    "https://example.com/{x}", "https://example.com/|x", "https://example.com/<x>",
    'https://example.com/"x"', "https://example.com/`x`", "https://example.com/^x",
    "https://$(id).example.com/", "https://example.com,127.0.0.1/", "https://example.com;x/",
    "https://1.2.3.4.5/", "https://256.256.256.256/", "https://1.2.3/", "https://0x7f.1/",
    "https://127.0.0.1.:443/", "https://example.0x7f/", "https://example.127/",
    "https://" + "a" * 64 + ".com/", "https://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 2048,
)  # fmt: skip
HOSTILE = [
    *(f"https://{host}/" for host in (*LOOPBACK, *METADATA, *PRIVATE)),
    *(f"http://{host}/latest/meta-data" for host in (*LOOPBACK, *METADATA)),
    *SHAPES,
]

PUBLIC = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111")
EVERY_HOST = [host.strip("[]") for host in (*LOOPBACK, *METADATA, *PRIVATE)]
NOT_PUBLIC = [host for host in EVERY_HOST if host not in PUBLIC]


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(set(HOSTILE)) >= 200


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_before_anything_is_resolved(url: str) -> None:
    with pytest.raises(PermanentError) as refused:
        checked_target(url)
    assert refused.value.type == "ToolRefused"
    assert len(url) < 5 or url not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "https://example.com/", "https://example.com:443/a?b=c&d=%20",
     "https://drive.google.com/uc?export=download&id=1", "https://xn--bcher-kva.example/x"],
)  # fmt: skip
def test_a_plain_url_passes(url: str) -> None:
    assert checked_target(url).scheme == "https"


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_a_public_address_is_known_as_such(address: str) -> None:
    assert is_public(address)


def answering(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("64:ff9b::a9fe:a9fe",), ("::ffff:10.0.0.1",),
     ("2002:7f00:1::",), ("fe80::1%eth0",), ("8.8.8.8", "::1")],
)  # fmt: skip
async def test_one_inner_address_among_the_answers_refuses_the_name(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *given: made.append(given))
    with pytest.raises(PermanentError, match="not public"):
        await Fetcher(resolve=answering(*addresses)).get("https://rebinding.example.com/")
    assert not made


async def test_the_socket_is_judged_again_for_the_address_it_goes_to() -> None:
    fetcher = Fetcher()
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 443))
    with pytest.raises(PermanentError, match="not public"):
        fetcher._socket(info)


@asynccontextmanager
async def server(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def local(timeout: float = 5) -> Fetcher:
    return Fetcher(allow_loopback=True, timeout=timeout)


async def test_a_document_comes_back_with_where_it_was_found() -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/first":
            raise web.HTTPFound("/second?x=1")
        assert "Cookie" not in request.headers
        assert "Authorization" not in request.headers
        return web.Response(text="here")

    async with server(handle) as base:
        fetched = await local().get(f"{base}/first")
    assert (fetched.data, fetched.url) == (b"here", f"{base}/second?x=1")


@pytest.mark.parametrize(
    "where",
    ["http://169.254.169.254/", "https://10.0.0.1/", "file:///etc/passwd", "//0x7f000001/",
     "https://[::ffff:169.254.169.254]/", "https://user@example.com/"],
)  # fmt: skip
async def test_a_redirect_inwards_is_refused(where: str) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": where})

    async with server(handle) as base:
        with pytest.raises(PermanentError, match="refused"):
            await local().get(base)


async def test_redirects_in_a_circle_end() -> None:
    asked = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=302, headers={"Location": "/again"})

    async with server(handle) as base:
        with pytest.raises(PermanentError, match="more than 3 times"):
            await local().get(base)
    assert asked == 4


@pytest.mark.parametrize("declared", [True, False])
async def test_a_document_that_is_too_large_is_refused(declared: bool) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if declared:
            return web.Response(body=b"x" * 2000)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"x" * 100)
        return response

    async with server(handle) as base:
        with pytest.raises(PermanentError, match="more than 1000 bytes"):
            await local().get(base, max_bytes=1000)


async def test_a_compressed_document_is_not_unpacked() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    async with server(handle) as base:
        with pytest.raises(PermanentError, match="compressed"):
            await local().get(base)


async def test_a_slow_answer_ends_in_time() -> None:
    async def handle(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response(text="late")

    async with server(handle) as base:
        with pytest.raises(TemporaryError, match="in time"):
            await local(timeout=0.2).get(base)


async def test_an_error_and_a_closed_port_are_told_apart() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with server(handle) as base:
        with pytest.raises(PermanentError, match="404"):
            await local().get(base)
    with pytest.raises(TemporaryError, match="failed"):
        await local().get(base)


async def test_a_post_says_the_status_and_follows_nothing() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert await request.read() == b"{}"
        return web.Response(status=307, headers={"Location": "http://169.254.169.254/"})

    async with server(handle) as base:
        assert await local().post(base, b"{}", {"X-One": "1"}) == 307


def test_aiohttp_asks_the_socket_gate_for_addresses_too() -> None:
    # An address as host is never resolved: without this gate nobody would look at it.
    assert aiohttp.TCPConnector.__init__.__kwdefaults__ is not None
    assert "socket_factory" in aiohttp.TCPConnector.__init__.__kwdefaults__
