"""What the last renderings gave: a run renders a revision for its validator and for its deployer.

A push that changes no file under the same pipeline is not rendered at all.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

from pilothouse.clients.store import ContentStore
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import canonical_json, digest_of
from pilothouse.models.steps import RenderRequest, RenderResult

_MOST: Final = 64
"""Environments' latest results; each is small, since the bundle itself is in the content store."""


class Renders:
    """The latest results by what they depend on. Safe to use from several threads."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._results: OrderedDict[str, RenderResult] = OrderedDict()
        self._lock = Lock()

    @staticmethod
    def key_of(request: RenderRequest, today: str) -> str:
        """A digest of everything that a result depends on: of trees, not of commits.

        Args:
            request: the files by their tree's digest, the pipeline and the environment.
            today: ISO date: exceptions expire.
        """
        trees = {
            "files": request.snapshot.tree,
            "policies": (request.policies_from or request.snapshot).tree,
        }
        others = request.model_dump(mode="json", exclude={"snapshot", "policies_from"})
        return digest_of(canonical_json({"trees": trees, "request": others, "today": today}))

    def get(self, key: str) -> RenderResult | None:
        """The result, if it is known and its bundle still stands in the store."""
        with self._lock:
            result = self._results.get(key)
        if result is None or result.bundle is None:
            return result
        try:
            self._store.get(result.bundle.content)
        except PermanentError:
            # Cleared or altered meanwhile: rendering again puts it right.
            return None
        return result

    def put(self, key: str, result: RenderResult) -> None:
        """Keep a result, and let the oldest go."""
        with self._lock:
            self._results[key] = result
            self._results.move_to_end(key)
            while len(self._results) > _MOST:
                self._results.popitem(last=False)
