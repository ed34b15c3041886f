"""Looks up the ConfigMaps and Secrets that pods refer to. Keeps their keys, never their values."""

import time
from http import HTTPStatus

from pilothouse.local.nodes.api import ClusterApi, RefusedError, is_name, path
from pilothouse.local.nodes.pods.references import Found, Needs, SourceKind

_FRESH_SECONDS = 1.0
"""Replicas start together and refer to the same objects: one look serves them all."""
_MAX_KNOWN = 2000

_Key = tuple[str, SourceKind, str]


class Sources:
    """A short memory over the API server."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._known: dict[_Key, tuple[float, frozenset[str] | None]] = {}

    async def find(self, namespace: str, needs: Needs) -> Found:
        """The keys of everything that a pod needs.

        Raises:
            TemporaryError: `ClusterUnavailable`.
            RefusedError: the API server does not let the node read it.
        """
        return {
            (kind, name): await self._keys((namespace, kind, name))
            for kind, name in needs.sources()
        }

    async def _keys(self, key: _Key) -> frozenset[str] | None:
        now = time.monotonic()
        looked_at, keys = self._known.get(key, (now - _FRESH_SECONDS, None))
        if now - looked_at < _FRESH_SECONDS:
            return keys
        keys = await self._look_up(*key)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[key] = (now, keys)
        return keys

    async def _look_up(self, namespace: str, kind: SourceKind, name: str) -> frozenset[str] | None:
        if not is_name(name):
            return None
        try:
            found = await self._api.get(path("api", "v1", "namespaces", namespace, kind, name))
        except RefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return frozenset({*(found.get("data") or ()), *(found.get("binaryData") or ())})
