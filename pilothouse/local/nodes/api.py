"""The Kubernetes API in plain JSON: the few verbs that a node needs, at low cost.

The generated client's models cost more time than the requests do; a simulator of hundreds of pods
on a shared core cannot afford them. Configuration, credentials and TLS are the client's.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient

from pilothouse.local.nodes.pods.documents import Document
from pilothouse.models.errors import PermanentError, TemporaryError

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"

_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30)
_WATCH_SECONDS = 300
# Bookmarks come about once a minute; a connection that is silent for longer is dead.
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=150)
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class RefusedError(PermanentError):
    """The API server answered with a status that retrying does not change."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__("ClusterRefused", message)
        self.status = status


def is_name(text: str) -> bool:
    """Whether some text can be the name of an object; anything else never goes into a path."""
    return bool(_NAME.fullmatch(text))


def path(*segments: str) -> str:
    """An absolute path of quoted segments: `path("api", "v1", "nodes", name)`."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


class ClusterApi:
    """A connection to one API server. Closed by `close`, or as a context manager."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, kubeconfig: Path) -> Self:
        """Read a kubeconfig; nothing is sent yet.

        Raises:
            PermanentError: `InvalidRequest`, the file cannot be read or is no kubeconfig.
        """
        try:
            client = await config.new_client_from_config(str(kubeconfig), persist_config=False)
        except (OSError, config.ConfigException) as error:
            raise PermanentError(
                "InvalidRequest", f"cannot use the kubeconfig {kubeconfig}: {error}"
            ) from error
        # A proxy for the outside world has no business between us and a loopback address.
        client.configuration.client_session_kwargs = {"trust_env": False}
        client.user_agent = "pilothouse-simulated-kubelet"
        return cls(client)

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._client.close()

    async def get(self, where: str, query: Mapping[str, str] | None = None) -> Document:
        """GET one object or a list."""
        return await self._send("GET", where, query=query)

    async def create(
        self, where: str, body: Document, query: Mapping[str, str] | None = None
    ) -> Document:
        """POST to a collection."""
        return await self._send("POST", where, body, query=query)

    async def patch(self, where: str, body: Document, kind: str = MERGE) -> Document:
        """PATCH an object; idempotent for both kinds of merge."""
        return await self._send("PATCH", where, body, content_type=kind)

    async def delete(self, where: str, options: Document | None = None) -> Document:
        """DELETE an object, with `DeleteOptions` if given."""
        return await self._send("DELETE", where, options)

    async def watch(
        self, where: str, query: Mapping[str, str]
    ) -> AsyncIterator[tuple[str, Document]]:
        """Yield (type, object) from a watch until the server ends it.

        Raises:
            RefusedError: among others with status 410, when the version is too old to resume.
            TemporaryError: `ClusterUnavailable`, the connection broke.
        """
        query = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        try:
            response = await self._open("GET", where, query=query, timeout=_WATCH_TIMEOUT)
            async with response:
                if response.status != HTTPStatus.OK:
                    raise _refusal("GET", where, response.status, await response.read())
                while line := await response.content.readline():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise RefusedError(status.get("code", 0), status.get("message", ""))
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError) as error:
            raise _unavailable(where, error) from error

    async def _send(
        self,
        method: str,
        where: str,
        body: Document | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Document:
        try:
            response = await self._open(method, where, body, query, content_type, _REQUEST_TIMEOUT)
            async with response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _unavailable(where, error) from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(method, where, response.status, data)
        document: Document = json.loads(data)
        return document

    async def _open(
        self,
        method: str,
        where: str,
        body: Document | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout = _REQUEST_TIMEOUT,
    ) -> aiohttp.ClientResponse:
        url = self._client.configuration.host + where
        if query:
            url += "?" + urlencode(query)
        headers: dict[str, Any] = {
            "Accept": "application/json",
            "Content-Type": content_type,
            "User-Agent": self._client.user_agent,
        }
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], where, method, body)
        answer = await self._client.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=timeout
        )
        response: aiohttp.ClientResponse = answer.response
        return response


def _unavailable(where: str, error: Exception) -> TemporaryError:
    reason = str(error) or type(error).__name__
    return TemporaryError("ClusterUnavailable", f"no answer from the API server: {reason}: {where}")


def _refusal(method: str, where: str, status: int, data: bytes) -> RefusedError | TemporaryError:
    try:
        message = str(json.loads(data).get("message", ""))
    except (ValueError, AttributeError):
        message = data[:200].decode(errors="replace")
    text = f"{method} {where}: {status} {message}"
    if status in _TRANSIENT:
        return TemporaryError("ClusterUnavailable", text)
    return RefusedError(status, text)
