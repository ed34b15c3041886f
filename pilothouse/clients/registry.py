"""Asks container registries, over the OCI distribution API, for the digest that a tag means."""

import asyncio
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import BaseModel, ValidationError
from yarl import URL

from pilothouse.clients.registry_access import (
    GuardedResolver,
    RefusedError,
    bearer_challenge,
    check_next,
    endpoint,
)
from pilothouse.gitops.manifests.images import (
    ImageReference,
    ImageReferenceError,
    Unresolved,
    parse_image,
)
from pilothouse.models.errors import TemporaryError

_MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_MOST_REQUESTS = 5
_MOST_BYTES = 4 * 1024 * 1024
_AT_ONCE = 8
_PAUSE_SECONDS = 5.0
"""Where a registry asks us to wait and does not say for how long."""


class RegistryClient:
    """Resolves tags to digests; reads manifests and nothing else.

    Each image is asked for at its own registry only. The registry may send us on to itself or to
    hosts of its own domain, for a token or by a redirect, and nowhere else; link-local addresses
    are never asked. Plain http is spoken to this machine, and to hosts that a setting names.
    """

    def __init__(
        self,
        credentials: Mapping[str, str] | None = None,
        *,
        insecure: Collection[str] = (),
        timeout_seconds: float = 10.0,
        patience_seconds: float = 20.0,
    ) -> None:
        """Hold what is needed to ask; nothing is connected yet.

        Args:
            credentials: registry -> value of the HTTP Authorization header.
            insecure: registries, `host` or `host:port`, that are spoken to in plain http.
            timeout_seconds: for one request.
            patience_seconds: the longest wait that a registry may ask for; beyond it the whole
                is tried again later.
        """
        self._credentials = dict(credentials or {})
        self._insecure = frozenset(insecure)
        self._timeout = ClientTimeout(total=timeout_seconds)
        self._patience_seconds = patience_seconds

    def __call__(self, images: Collection[str]) -> dict[str, str | Unresolved]:
        """The digest of each image, or why it has none; blocks, in a thread without a loop.

        Idempotent, but not constant: a tag may mean another image tomorrow.

        Raises:
            TemporaryError: `RegistryUnavailable`: a registry does not answer, has a fault, or
                asks us to come back later.
        """
        return asyncio.run(self._resolve_all(sorted(images))) if images else {}

    async def _resolve_all(self, images: list[str]) -> dict[str, str | Unresolved]:
        connector = TCPConnector(limit=_AT_ONCE, resolver=GuardedResolver())
        async with ClientSession(
            connector=connector, cookie_jar=DummyCookieJar(), timeout=self._timeout
        ) as session:
            answers = await asyncio.gather(*(self._resolve(session, image) for image in images))
        return dict(zip(images, answers, strict=True))

    async def _resolve(self, session: ClientSession, image: str) -> str | Unresolved:
        try:
            reference = parse_image(image)
            base = endpoint(reference.registry, self._insecure)
            credential = self._credentials.get(reference.registry, "")
            lookup = _Lookup(session, reference, base, credential, self._patience_seconds)
            return reference.digest or await lookup.digest()
        except (ImageReferenceError, RefusedError) as error:
            return Unresolved(str(error))


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    @property
    def digest(self) -> str:
        """What the registry says the manifest's digest is; empty if it says nothing usable."""
        value = self.headers.get("Docker-Content-Digest", "")
        return value if _DIGEST.fullmatch(value) else ""


class _Token(BaseModel):
    """What a token service answers; the two names mean the same."""

    token: str = ""
    access_token: str = ""


class _Lookup:
    """One image at its registry."""

    def __init__(
        self,
        session: ClientSession,
        reference: ImageReference,
        base: URL,
        credential: str,
        patience_seconds: float,
    ) -> None:
        self._session = session
        self._reference = reference
        self._base = base
        self._credential = credential
        self._patience_seconds = patience_seconds
        self._authorization = ""

    async def digest(self) -> str:
        """The digest of the manifest or index that the tag means.

        Raises:
            RefusedError: there is none, or it is not to be trusted.
            TemporaryError: `RegistryUnavailable`.
        """
        head = await self._manifest("HEAD")
        if head.status == 200 and head.digest and head.media_type in _MANIFEST_TYPES:
            return head.digest
        # Not every registry answers HEAD in full: the manifest's own bytes decide then.
        answer = await self._manifest("GET") if head.status in {200, 405} else head
        self._check_status(answer.status)
        if answer.media_type not in _MANIFEST_TYPES:
            raise RefusedError(f"the registry's answer is no manifest ({answer.media_type[:80]})")
        computed = "sha256:" + hashlib.sha256(answer.body).hexdigest()
        if answer.digest and answer.digest != computed:
            raise RefusedError("the registry's digest is not that of the manifest it sends")
        return computed

    def _check_status(self, status: int) -> None:
        match status:
            case 200:
                return
            case 404:
                raise RefusedError("the registry has no such repository or tag")
            case 401 | 403:
                login = "with the credential" if self._credential else "without a credential"
                raise RefusedError(f"the registry refuses access {login} that is set for it")
            case _:
                raise RefusedError(f"the registry answers {status}")

    async def _manifest(self, method: str) -> _Answer:
        path = ("v2", *self._reference.repository.split("/"), "manifests", self._reference.tag)
        url = self._base.joinpath(*path)
        answer = await self._patiently(method, url, {"Accept": ", ".join(_MANIFEST_TYPES)})
        if answer.status == 401 and not self._authorization:
            await self._log_in(answer)
            answer = await self._patiently(method, url, {"Accept": ", ".join(_MANIFEST_TYPES)})
        return answer

    async def _log_in(self, refusal: _Answer) -> None:
        """Follow the registry's challenge; without a credential the token is an anonymous one."""
        header = refusal.headers.get("WWW-Authenticate", "")
        if self._credential and header.lower().startswith("basic"):
            self._authorization = self._credential
            return
        realm, service = bearer_challenge(header)
        check_next(self._base, realm)
        query = {"service": service, "scope": f"repository:{self._reference.repository}:pull"}
        headers = {"Authorization": self._credential} if self._credential else {}
        answer = await self._patiently("GET", realm.update_query(query), headers)
        self._check_status(answer.status)
        try:
            token = _Token.model_validate_json(answer.body)
        except ValidationError:
            raise RefusedError("the registry's login gives no token") from None
        value = token.token or token.access_token
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            raise RefusedError("the registry's login gives no token")
        self._authorization = f"Bearer {value}"

    async def _patiently(self, method: str, url: URL, headers: Mapping[str, str]) -> _Answer:
        """One answer that is not `come back later`."""
        waited = 0.0
        for _ in range(_MOST_REQUESTS):
            answer = await self._send(method, url, headers)
            if answer.status != 429 and answer.status < 500:
                return answer
            if answer.status != 429:
                break
            pause = _retry_after(answer)
            if waited + pause > self._patience_seconds:
                delay = timedelta(seconds=pause)
                raise TemporaryError("RegistryUnavailable", self._said("asks us to wait"), delay)
            await asyncio.sleep(pause)
            waited += pause
        raise TemporaryError("RegistryUnavailable", self._said(f"answers {answer.status}"))

    async def _send(self, method: str, url: URL, headers: Mapping[str, str]) -> _Answer:
        """One request with its redirects; our authorization goes to the registry itself only."""
        for _ in range(_MOST_REDIRECTS + 1):
            sent = CIMultiDict(headers)
            if self._authorization and url.origin() == self._base.origin():
                sent["Authorization"] = self._authorization
            answer = await self._request(method, url, sent)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                return answer
            try:
                target = url.join(URL(answer.headers["Location"]))
            except ValueError as error:
                raise RefusedError("the registry sends us to no valid address") from error
            check_next(self._base, target)
            if target.origin() != url.origin():
                headers = {k: v for k, v in headers.items() if k != "Authorization"}
            url = target
        raise RefusedError("the registry sends us in circles")

    async def _request(self, method: str, url: URL, headers: CIMultiDict[str]) -> _Answer:
        try:
            async with self._session.request(
                method, url, headers=headers, allow_redirects=False
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(64 * 1024):
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise RefusedError("the registry's answer is larger than 4 MiB")
                return _Answer(response.status, response.headers, bytes(body))
        except ClientConnectorCertificateError as error:
            raise RefusedError("the registry's certificate cannot be trusted") from error
        except (ClientError, TimeoutError, OSError) as error:
            what = self._said(f"does not answer ({type(error).__name__})")
            raise TemporaryError("RegistryUnavailable", what) from error

    def _said(self, what: str) -> str:
        return f"the registry {self._reference.registry} {what}"


def _retry_after(answer: _Answer) -> float:
    value = answer.headers.get("Retry-After", "")
    return float(value) if re.fullmatch(r"[0-9]{1,6}", value) else _PAUSE_SECONDS
