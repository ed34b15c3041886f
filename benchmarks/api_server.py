"""The measuring side's own way to the API server, as thin as `kubernetes.aio` allows.

It is not the product's client, so that a fault or a saving of that one cannot hide in a figure. The
generated client's typed methods cost more than the request itself; so only its configuration,
credentials and connections are used, for the bare client that we are compared with as well.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config
from pydantic import JsonValue

JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
_COUNTED = re.compile(r"apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_HEARTBEATS = {"leases", "nodes", "events", ""}
"""What a cluster's own parts ask for all the time."""


class Refused(Exception):
    """The API server answered with something else than 2xx."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text[:300]}")
        self.code = code


class ApiServer:
    """One API server; use it as `async with await ApiServer.connect(...)`."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @classmethod
    async def connect(cls, kubeconfig: Path, *, connections: int) -> Self:
        """Read the credentials; at most so many connections are opened at once."""
        configuration = Configuration()
        await load_kube_config(
            config_file=str(kubeconfig), client_configuration=configuration, persist_config=False
        )
        configuration.retries = None
        configuration.connection_pool_maxsize = connections
        return cls(ApiClient(configuration=configuration))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._api.close()

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, JsonValue] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
        content_type: str = JSON,
    ) -> bytes:
        """Send one request and return the answer's bytes.

        Raises:
            Refused: the answer is not 2xx.
        """
        headers = {"Accept": accept, "Content-Type": content_type}
        async with await self._open(method, path, body, query or {}, headers, 120) as response:
            data = await response.read()
        if not 200 <= response.status < 300:
            raise Refused(response.status, data.decode(errors="replace"))
        return data

    async def watch(self, path: str) -> AsyncIterator[dict[str, JsonValue]]:
        """The events of a collection, first one for each object that is there; metadata only."""
        headers = {"Accept": METADATA}
        async with await self._open("GET", path, None, {"watch": "1"}, headers, None) as response:
            if response.status != 200:
                raise Refused(response.status, await response.text())
            async for line in response.content:
                yield json.loads(line)

    async def requests(self) -> dict[str, int]:
        """How many requests it ever answered, by verb; without watches and heartbeats."""
        text = (await self.send("GET", "/metrics", accept="text/plain")).decode()
        counts: dict[str, int] = {}
        for match in _COUNTED.finditer(text):
            labels = dict(_LABEL.findall(match["labels"]))
            verb = labels.get("verb", "")
            if verb != "WATCH" and labels.get("resource", "") not in _HEARTBEATS:
                counts[verb] = counts.get(verb, 0) + int(float(match["count"]))
        return counts

    async def _open(
        self,
        method: str,
        path: str,
        body: Mapping[str, JsonValue] | None,
        query: Mapping[str, str],
        headers: dict[str, str],
        seconds: float | None,
    ) -> aiohttp.ClientResponse:
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{self._api.configuration.host}{path}"
        answer = await self._api.call_api(
            method,
            f"{url}?{urlencode(query)}" if query else url,
            header_params=headers,
            body=body,
            _request_timeout=aiohttp.ClientTimeout(total=seconds),
        )
        response: aiohttp.ClientResponse = answer.response
        return response
