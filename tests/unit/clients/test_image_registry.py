"""Tags to digests, against a server on this machine that speaks the distribution API."""

import asyncio
import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pilothouse.clients.registry import RegistryClient
from pilothouse.clients.registry_access import (
    GuardedResolver,
    RefusedError,
    check_next,
    endpoint,
    read_credentials,
)
from pilothouse.gitops.manifests.images import Unresolved
from pilothouse.models.errors import PermanentError, TemporaryError

INDEX = "application/vnd.oci.image.index.v1+json"
BODY = b'{"schemaVersion": 2}'
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()
LOGIN = "Basic " + base64.b64encode(b"robot:s3cret").decode()
Handler = Callable[[web.Request], web.StreamResponse]


class Registry:
    """A registry whose answers a test decides; remembers every request."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        """Method, path with query, Authorization."""
        self.answer: Handler = lambda _: web.Response(status=500)
        self.host = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.asked.append((request.method, request.path_qs, authorization))
        return self.answer(request)

    def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        asyncio.run(self._serve(ready, stop))

    async def _serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.host = f"127.0.0.1:{port}"
        self.loop = asyncio.get_running_loop()
        ready.set()
        await stop.wait()
        await runner.cleanup()


@pytest.fixture
def registry() -> Iterator[Registry]:
    server, ready, stop = Registry(), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=server.serve, args=(ready, stop))
    thread.start()
    assert ready.wait(10)
    yield server
    server.loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def manifest(digest: str | None = DIGEST, kind: str = INDEX) -> web.Response:
    headers = {"Content-Type": kind} | ({"Docker-Content-Digest": digest} if digest else {})
    return web.Response(body=BODY, headers=headers)


def ask(registry: Registry, credential: str = "", path: str = "team/api:1.0") -> str | Unresolved:
    image = f"{registry.host}/{path}"
    client = RegistryClient({registry.host: credential} if credential else {}, timeout_seconds=2)
    return client([image])[image]


def challenge(registry: Registry, realm: str = "") -> Handler:
    """Asks for a token, and gives one to anybody or to the robot."""
    where = realm or f"http://{registry.host}/token"

    def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return web.json_response({"access_token": "abc"})
        if request.headers.get("Authorization") == "Bearer abc":
            return manifest()
        header = f'Bearer realm="{where}",service="the registry",scope="repository:*:delete"'
        return web.Response(status=401, headers={"WWW-Authenticate": header})

    return answer


# -- answers --------------------------------------------------------------------------------------


def test_a_tag_is_the_digest_that_the_registry_names(registry: Registry) -> None:
    accepted = []

    def answer(request: web.Request) -> web.StreamResponse:
        accepted.append(request.headers["Accept"])
        return manifest()

    registry.answer = answer
    assert ask(registry) == DIGEST
    assert registry.asked == [("HEAD", "/v2/team/api/manifests/1.0", "")]
    assert INDEX in accepted[0]
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in accepted[0]


@pytest.mark.parametrize(
    "digest", [None, "", "sha256:short", "md5:" + "0" * 32, DIGEST.upper(), f"{DIGEST}x"]
)
def test_without_a_usable_header_the_manifests_own_bytes_decide(
    registry: Registry, digest: str | None
) -> None:
    registry.answer = lambda _: manifest(digest)
    assert ask(registry) == DIGEST
    assert [method for method, *_ in registry.asked] == ["HEAD", "GET"]


def test_a_registry_without_head_is_asked_for_the_manifest(registry: Registry) -> None:
    registry.answer = lambda request: (
        web.Response(status=405) if request.method == "HEAD" else manifest()
    )
    assert ask(registry) == DIGEST


def test_a_digest_that_is_not_the_manifests_is_not_believed(registry: Registry) -> None:
    other = "sha256:" + "0" * 64
    registry.answer = lambda request: (
        web.Response(status=405) if request.method == "HEAD" else manifest(other)
    )
    answer = ask(registry)
    assert isinstance(answer, Unresolved)
    assert "not that of the manifest" in answer.reason


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (lambda: web.Response(status=404), "no such repository or tag"),
        (lambda: web.Response(status=403), "refuses access without a credential"),
        (lambda: web.Response(status=400), "answers 400"),
        (lambda: manifest(kind="text/html"), "no manifest (text/html)"),
        (lambda: web.Response(body=b"x" * 5 * 1024 * 1024), "larger than 4 MiB"),
        (lambda: web.Response(status=401), "login that is not supported"),
        (
            lambda: web.Response(status=302, headers={"Location": "/v2/again"}),
            "sends us in circles",
        ),
    ],
    ids=range(7),
)
def test_an_image_that_is_not_there_has_a_reason(
    registry: Registry, response: Callable[[], web.Response], words: str
) -> None:
    registry.answer = lambda _: response()
    answer = ask(registry)
    assert isinstance(answer, Unresolved)
    assert words in answer.reason


def test_several_images_are_asked_for_together_and_digests_are_kept(registry: Registry) -> None:
    registry.answer = lambda request: (
        manifest() if request.path.endswith("/one") else web.Response(status=404)
    )
    one, two = f"{registry.host}/a:one", f"{registry.host}/a:two"
    fixed = f"{registry.host}/a@sha256:{'1' * 64}"
    answers = RegistryClient()([one, two, fixed, "Not An Image"])
    assert answers[one] == DIGEST
    assert answers[fixed] == "sha256:" + "1" * 64
    assert isinstance(answers[two], Unresolved)
    assert answers["Not An Image"] == Unresolved("'Not An Image' is no image reference")


# -- logins ---------------------------------------------------------------------------------------


def test_a_token_is_asked_for_and_names_only_what_is_needed(registry: Registry) -> None:
    registry.answer = challenge(registry)
    assert ask(registry) == DIGEST
    token = URL(registry.asked[1][1])
    assert dict(token.query) == {"service": "the registry", "scope": "repository:team/api:pull"}
    assert [authorization for *_, authorization in registry.asked] == ["", "", "Bearer abc"]


def test_a_credential_buys_the_token_and_goes_nowhere_else(registry: Registry) -> None:
    registry.answer = challenge(registry)
    assert ask(registry, LOGIN) == DIGEST
    assert [authorization for *_, authorization in registry.asked] == ["", LOGIN, "Bearer abc"]


def test_a_registry_that_asks_for_the_password_itself_gets_it(registry: Registry) -> None:
    def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") == LOGIN:
            return manifest()
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    registry.answer = answer
    assert ask(registry, LOGIN) == DIGEST
    without = ask(registry)
    assert isinstance(without, Unresolved)
    wrong = ask(registry, LOGIN.replace("c", "d"))
    assert isinstance(wrong, Unresolved)
    assert "with the credential" in wrong.reason


@pytest.mark.parametrize(
    "realm",
    [
        "http://localhost:1/token",
        "https://169.254.169.254/latest",
        "http://metadata.example.org/token",
        "file:///etc/passwd",
        "not a url",
    ],
)
def test_a_registry_does_not_send_us_to_other_hosts_for_a_token(
    registry: Registry, realm: str
) -> None:
    registry.answer = challenge(registry, realm)
    answer = ask(registry, LOGIN)
    assert isinstance(answer, Unresolved)
    assert [authorization for *_, authorization in registry.asked] == [""]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": ""}', b'{"token": "a\\nX-Evil: 1"}'])
def test_a_token_that_is_none_is_refused(registry: Registry, body: bytes) -> None:
    asked = challenge(registry)
    registry.answer = lambda request: (
        web.Response(body=body) if request.path == "/token" else asked(request)
    )
    answer = ask(registry)
    assert isinstance(answer, Unresolved)
    assert "no token" in answer.reason


# -- faults and waits -----------------------------------------------------------------------------


def test_a_registry_that_asks_us_to_wait_is_waited_for(registry: Registry) -> None:
    registry.answer = lambda _: (
        web.Response(status=429, headers={"Retry-After": "0"})
        if len(registry.asked) < 3
        else manifest()
    )
    assert ask(registry) == DIGEST
    assert len(registry.asked) == 3


def test_a_long_wait_is_left_to_a_later_try(registry: Registry) -> None:
    registry.answer = lambda _: web.Response(status=429, headers={"Retry-After": "120"})
    with pytest.raises(TemporaryError) as caught:
        ask(registry)
    assert caught.value.type == "RegistryUnavailable"
    assert caught.value.delay is not None
    assert caught.value.delay.total_seconds() == 120


def test_a_fault_of_the_registry_is_tried_again_later(registry: Registry) -> None:
    registry.answer = lambda _: web.Response(status=503)
    with pytest.raises(TemporaryError, match=f"the registry {registry.host} answers 503"):
        ask(registry)


def test_a_registry_that_is_not_there_is_tried_again_later() -> None:
    with pytest.raises(TemporaryError, match="does not answer"):
        RegistryClient(timeout_seconds=2)(["127.0.0.1:1/team/api:1"])


# -- which hosts ----------------------------------------------------------------------------------


def test_redirects_stay_with_the_registry(registry: Registry) -> None:
    def answer(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/v2/"):
            return web.Response(status=307, headers={"Location": "/elsewhere"})
        return manifest()

    registry.answer = answer
    assert ask(registry) == DIGEST
    registry.answer = lambda _: web.Response(
        status=307, headers={"Location": "http://localhost:1/v2/x"}
    )
    away = ask(registry)
    assert isinstance(away, Unresolved)
    assert "another host" in away.reason


@pytest.mark.parametrize(
    ("registry_url", "target", "allowed"),
    [
        ("https://registry.example.org", "https://auth.example.org/token", True),
        ("https://registry.example.org", "https://example.org/token", True),
        ("https://registry.example.org", "http://auth.example.org/token", False),
        ("https://registry.example.org", "https://example.com/token", False),
        ("https://registry.example.org", "https://evilexample.org/token", False),
        ("https://example.org", "https://example.org:8443/token", False),
        ("https://example.org", "https://other.org/token", False),
        ("https://10.0.0.1", "https://10.0.0.2/token", False),
        ("http://localhost:5000", "http://localhost:5000/token", True),
        ("http://localhost:5000", "http://localhost:5001/token", False),
    ],
)
def test_a_registry_may_send_us_to_its_own_domain_only(
    registry_url: str, target: str, allowed: bool
) -> None:
    if allowed:
        check_next(URL(registry_url), URL(target))
    else:
        with pytest.raises(RefusedError):
            check_next(URL(registry_url), URL(target))


@pytest.mark.parametrize(
    ("registry_name", "url"),
    [
        ("registry.example.org", "https://registry.example.org"),
        ("registry.example.org:8443", "https://registry.example.org:8443"),
        ("localhost:5000", "http://localhost:5000"),
        ("localhost", "http://localhost"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("plain.example.org:80", "http://plain.example.org:80"),
        ("localhost.example.org", "https://localhost.example.org"),
    ],
)
def test_plain_http_is_for_this_machine_and_for_hosts_of_a_setting(
    registry_name: str, url: str
) -> None:
    assert endpoint(registry_name, frozenset({"plain.example.org:80"})) == URL(url)


def test_addresses_of_a_machines_own_surroundings_are_never_asked() -> None:
    images = ["169.254.169.254/team/api:1", "[fe80::1]/team/api:1"]
    answers = RegistryClient()(images)
    reasons = [answer.reason for answer in answers.values() if isinstance(answer, Unresolved)]
    assert ["link-local" in reason for reason in reasons] == [True, True]


async def test_a_name_that_leads_to_such_an_address_is_not_asked_either() -> None:
    class Names(AbstractResolver):
        """One name with the addresses that a test gives it."""

        def __init__(self, *addresses: str) -> None:
            self._addresses = addresses

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [
                ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
                for each in self._addresses
            ]

        async def close(self) -> None:
            return

    mixed = GuardedResolver(Names("169.254.169.254", "192.0.2.1"))
    assert [each["host"] for each in await mixed.resolve("registry.example.org")] == ["192.0.2.1"]
    with pytest.raises(OSError, match="no address that may be asked"):
        await GuardedResolver(Names("169.254.169.254")).resolve("registry.example.org")


# -- credentials ----------------------------------------------------------------------------------


def test_logins_come_from_a_docker_configuration_file(tmp_path: Path) -> None:
    pair = base64.b64encode(b"robot:s3cret").decode()
    file = tmp_path / "config.json"
    auths = {
        "registry.example.org:5000": {"auth": pair},
        "https://other.example.org/v1/": {"username": "robot", "password": "s3cret"},
        "https://index.docker.io/v1/": {"auth": pair},
        "helper.example.org": {},
    }
    file.write_text(json.dumps({"auths": auths, "credsStore": "desktop"}), encoding="utf-8")
    assert read_credentials(file) == {
        "registry.example.org:5000": LOGIN,
        "other.example.org": LOGIN,
        "docker.io": LOGIN,
    }


@pytest.mark.parametrize(
    "text", ["", "[]", '{"auths": []}', '{"auths": {"a": {"auth": "s3cret!"}}}']
)
def test_a_file_of_logins_that_is_none_is_refused_without_its_content(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PermanentError, match="PILOTHOUSE_REGISTRY_CREDENTIALS") as caught:
        read_credentials(file)
    assert caught.value.type == "InvalidRequest"
    assert "s3cret" not in str(caught.value)
    with pytest.raises(PermanentError):
        read_credentials(tmp_path / "absent")
