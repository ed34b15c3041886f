"""List, then watch, for ever: the present state of a collection as a stream of calls."""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

import structlog

from pilothouse.local.nodes.api import ClusterApi, RefusedError
from pilothouse.local.nodes.pods.documents import Document
from pilothouse.models.errors import PermanentError, TemporaryError

_log = structlog.get_logger()

_RETRY_FIRST_SECONDS = 0.2
_RETRY_CAP_SECONDS = 5.0


class Sink(Protocol):
    """Who wants to know. Called in order; calls are quick and never wait."""

    def replaced(self, objects: list[Document]) -> None:
        """These exist and nothing else: the first list, or one after a gap."""

    def changed(self, document: Document) -> None:
        """This one is new, or differs from before."""

    def removed(self, document: Document) -> None:
        """This one is gone; its last state."""


async def inform(
    api: ClusterApi, where: str, sink: Sink, selector: Mapping[str, str] | None = None
) -> None:
    """Keep a sink informed until cancelled. Survives restarts of the server and lost versions.

    Args:
        api: the connection.
        where: path of the collection.
        sink: whom to tell.
        selector: `fieldSelector` or `labelSelector`.
    """
    selector = selector or {}
    delay = _RETRY_FIRST_SECONDS
    version = ""
    while True:
        try:
            if not version:
                version = await _list(api, where, sink, selector)
                delay = _RETRY_FIRST_SECONDS
            version = await _watch(api, where, sink, selector, version)
        except (TemporaryError, PermanentError) as error:
            # A list is a safe start after any gap, and the only one after 410 Gone.
            version = ""
            gone = isinstance(error, RefusedError) and error.status == HTTPStatus.GONE
            level = logging.INFO if gone or isinstance(error, TemporaryError) else logging.WARNING
            _log.log(level, "watch interrupted, listing again", path=where, error=str(error))
            await asyncio.sleep(delay)
            delay = min(_RETRY_CAP_SECONDS, delay * 2)


async def _list(api: ClusterApi, where: str, sink: Sink, selector: Mapping[str, str]) -> str:
    """Tell the sink everything there is; returns the version to watch from."""
    listed = await api.get(where, selector)
    sink.replaced(listed.get("items") or [])
    return str(listed["metadata"]["resourceVersion"])


async def _watch(
    api: ClusterApi, where: str, sink: Sink, selector: Mapping[str, str], version: str
) -> str:
    """Tell the sink what changes, until the server ends the watch; returns the version reached."""
    async for kind, document in api.watch(where, {**selector, "resourceVersion": version}):
        version = document["metadata"]["resourceVersion"]
        if kind in {"ADDED", "MODIFIED"}:
            sink.changed(document)
        elif kind == "DELETED":
            sink.removed(document)
    return version
