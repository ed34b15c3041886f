"""What agents are shown: texts of a revision and of the stages before, in the content store."""

import asyncio
from itertools import chain

from temporalio import activity

from pilothouse.clients.store import ContentStore
from pilothouse.clients.tree import StoredTree
from pilothouse.gitops.agents.material import Stored, configs, pieces
from pilothouse.gitops.agents.selection import secret_values, select, values_of_secrets
from pilothouse.models.material import Gathered, MaterialRequest
from pilothouse.models.objects import Bundle
from pilothouse.models.tools import Material


class MaterialActivities:
    """Makes texts of what a stage knows. Holds no credential."""

    def __init__(self, *, store: ContentStore) -> None:
        self._store = store

    @activity.defn
    async def gather_material(self, request: MaterialRequest) -> Gathered:
        """Put what an agent is shown into the content store, within bounds and without secrets.

        Idempotent: the same request gives the same texts under the same ids.

        Raises:
            PermanentError: `StoreMiss` or `DigestMismatch`, a file or a bundle is gone.
        """
        return await asyncio.to_thread(self._gather, request)

    def _gather(self, request: MaterialRequest) -> Gathered:
        stored = self._read(request)
        values = list(configs(request.pipeline, stored)) if request.pipeline is not None else []
        withheld = ""
        if values and not stored.bundles:
            withheld = "Files of values are not shown, as nobody knows which go into Secrets."
            values = []
        secrets = secret_values(stored.bundles)
        known = secrets | values_of_secrets((piece.text() for piece in values), secrets)
        selection = select(chain(pieces(request, stored), values), known, request.room)
        return Gathered(
            material=tuple(
                Material(
                    id=f"E{number}",
                    kind=shown.kind,
                    title=shown.title,
                    content=self._store.put(shown.text),
                    size=len(shown.text),
                )
                for number, shown in enumerate(selection.shown, 1)
            ),
            left_out=" ".join(filter(None, (selection.left_out, withheld))),
        )

    def _read(self, request: MaterialRequest) -> Stored:
        if request.snapshot is None:
            return Stored(bundles=self._bundles(request))
        files = StoredTree(self._store, request.snapshot.tree)
        governing = StoredTree(self._store, (request.governing or request.snapshot).tree)
        return Stored(
            bundles=self._bundles(request),
            files=files,
            documents=governing,
            changed=files.changed_since(governing),
        )

    def _bundles(self, request: MaterialRequest) -> tuple[Bundle, ...]:
        return tuple(
            Bundle.model_validate_json(self._store.get(content))
            for content in request.bundles.values()
        )
