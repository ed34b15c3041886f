"""One HTTP call to the API server: JSON in, JSON out, every failure translated.

The generated client's typed methods cost more CPU than the call itself, so only its configuration
and its connection pool are used. Its own retries are off: Temporal does the retrying.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, Self
from urllib.request import getproxies

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    ConfigException,
    load_incluster_config,
    load_kube_config,
)
from pydantic import JsonValue
from yaml import YAMLError

from pilothouse.clients.cluster.answers import Answer, Refusal, Unavailable, read_status
from pilothouse.clients.cluster.throttle import CONCURRENCY, Throttle
from pilothouse.gitops.health.fields import text
from pilothouse.models.errors import PermanentError

log = structlog.get_logger()

_CONNECT_SECONDS: Final = 5.0
_BUSY_TRIES: Final = 5
"""Times that a request is sent while the server says that it is busy."""
_BUSY_SECONDS: Final = 10.0
"""The longest `Retry-After` that is waited for here; beyond it Temporal does."""
_SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

PAGE: Final = 500
"""Objects in one answer: enough to be few requests, few enough to be held at a time."""
JSON: Final = "application/json"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Ask for an object's metadata only: values that we have no business with stay on the server."""
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLY_PATCH: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"


class Transport:
    """The connection to one API server. Not safe to share between event loops."""

    def __init__(self, api: ApiClient, kubeconfig: Path | None, context: str | None) -> None:
        self._api = api
        self._kubeconfig = kubeconfig
        self._context = context
        self.throttle = Throttle()

    @classmethod
    async def connect(cls, kubeconfig: Path | None, context: str | None) -> Self:
        """Read the credentials; nothing is sent yet.

        Without a kubeconfig: the pod's own ServiceAccount, or the default kubeconfig.

        Raises:
            PermanentError: `ClusterRefused`, the kubeconfig cannot be used.
        """
        configuration = Configuration()
        await _load(configuration, kubeconfig, context)
        configuration.retries = None
        configuration.connection_pool_maxsize = CONCURRENCY
        # To look for a proxy costs aiohttp two changes of thread a request, also where none is.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
        return cls(ApiClient(configuration=configuration), kubeconfig, context)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonValue = None,
        accept: str = JSON,
        content_type: str = JSON,
        seconds: float = 30.0,
    ) -> dict[str, JsonValue]:
        """Send one request and return the JSON object that answers it.

        Raises:
            Refusal: the server answered that it will not do this.
            Unavailable: no answer, or one that says to come back later.
        """
        return (
            await self.exchange(
                method,
                path,
                query=query,
                body=body,
                accept=accept,
                content_type=content_type,
                seconds=seconds,
            )
        )[1]

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonValue = None,
        accept: str = JSON,
        content_type: str = JSON,
        seconds: float = 30.0,
    ) -> tuple[int, dict[str, JsonValue]]:
        """As `json`, with the HTTP status before it: 201 says that an apply created the object."""
        sent = await self.send(
            method,
            path,
            query=query,
            body=body,
            headers={"Accept": accept, "Content-Type": content_type},
            seconds=seconds,
        )
        try:
            answer = json.loads(sent.data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable("the API server's answer is not a JSON object", sent=True)
        return sent.code, answer

    async def pages(
        self, path: str, query: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncGenerator[dict[str, JsonValue], None]:
        """The list of a collection, a page of at most `PAGE` items at a time from the server.

        Raises:
            Refusal: it may not be listed.
            Unavailable: no answer.
        """
        parameters = {**(query or {}), "limit": str(PAGE)}
        while True:
            answer = await self.json("GET", path, query=parameters, accept=accept)
            yield answer
            following = text(answer, "metadata", "continue")
            if not following:
                return
            parameters["continue"] = following

    async def raw(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, seconds: float
    ) -> bytes:
        """The bytes of a 2xx answer, e.g. of a log.

        Raises:
            Refusal: the server answered that it will not do this.
            Unavailable: no answer, or one that says to come back later.
        """
        return (await self.send(method, path, query=query, seconds=seconds)).data

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonValue = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> Answer:
        """Send one request, again while the server is busy, and return a 2xx answer.

        A server that answers 429 gets half as many requests at a time, and slowly more again.

        Raises:
            Refusal: the server answered that it will not do this.
            Unavailable: no answer, or one that says to come back later.
        """
        renewed = False
        for tried in range(_BUSY_TRIES):
            async with self.throttle:
                answer = await self._once(method, path, query or {}, body, headers or {}, seconds)
            if answer.code == 401 and not renewed:
                # A ServiceAccount's token is short-lived, and whoever renews it writes the file.
                renewed = True
                await _load(self._api.configuration, self._kubeconfig, self._context)
                continue
            pause = self._pause(answer, tried)
            if not pause:
                break
            log.info("cluster_busy", path=path, code=answer.code, seconds=pause)
            await asyncio.sleep(pause)
        if 200 <= answer.code < 300:
            return answer
        raise _failure(answer)

    def _pause(self, answer: Answer, tried: int) -> float:
        """Seconds after which to send a request again; 0 if here and now this answer stands."""
        if answer.code == 429:
            self.throttle.narrow()
            pause = answer.retry_after or 0.5 * 2**tried
        else:
            self.throttle.widen()
            # Without a word of when to come back, 503 may be anything between here and there.
            pause = answer.retry_after if answer.code == 503 else 0.0
        return pause if pause <= _BUSY_SECONDS and tried < _BUSY_TRIES - 1 else 0.0

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonValue,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Answer:
        sent = dict(headers)
        parameters = list(query.items())
        await self._api.update_params_for_auth(
            sent, parameters, ["BearerToken"], path, method, body
        )
        url = f"{self._api.configuration.host}{path}"
        if parameters:
            url += f"?{self._api.parameters_to_url_query(parameters, {})}"
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            response = await self._api.call_api(
                method, url, header_params=sent, body=body, _request_timeout=timeout
            )
            data = await response.read()
        except aiohttp.ClientConnectorError as error:
            host = self._api.configuration.host
            raise Unavailable(f"cannot reach {host}: {error.os_error}", sent=False) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            what = "did not answer in time" if isinstance(error, TimeoutError) else "hung up"
            raise Unavailable(f"the API server {what}", sent=True) from error
        return read_status(response.status, response.headers, data)


async def _load(configuration: Configuration, kubeconfig: Path | None, context: str | None) -> None:
    in_pod = kubeconfig is None and _SERVICE_ACCOUNT_TOKEN.is_file()
    if not in_pod:
        _require(kubeconfig)
    try:
        if in_pod:
            load_incluster_config(client_configuration=configuration)
            return
        await load_kube_config(
            config_file=None if kubeconfig is None else str(kubeconfig),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, YAMLError) as error:
        # The library assumes the form of the file, so nonsense shows as any of these.
        where = kubeconfig or "of the default place"
        raise PermanentError(
            "ClusterRefused", f"the kubeconfig {where} cannot be used: {error}"
        ) from error


def _require(kubeconfig: Path | None) -> None:
    """Ask for the file first: the library prints its own complaint on standard output."""
    usual = KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep)
    files = [Path(each).expanduser() for each in usual] if kubeconfig is None else [kubeconfig]
    if not any(file.is_file() for file in files):
        raise PermanentError(
            "ClusterRefused",
            f"there is no kubeconfig {files[0]}: name one by --kubeconfig or PILOTHOUSE_KUBECONFIG",
        )


def _failure(answer: Answer) -> Refusal | Unavailable:
    if not answer.is_temporary:
        return Refusal(answer)
    delay = timedelta(seconds=answer.retry_after) if answer.retry_after else None
    words = f"the API server answered {answer.code}: {answer.message}"
    # Behind a proxy, or with a hook that timed out, a 5xx does not say that nothing happened.
    return Unavailable(words, sent=answer.code >= 500, delay=delay)
