"""The stored inventory: one ConfigMap, one writer at a time, never an older one."""

import asyncio
import time
from typing import Final, NamedTuple

import structlog
from pydantic import JsonValue

from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.transport import JSON, METADATA, Transport
from pilothouse.gitops.health.fields import objects, text
from pilothouse.gitops.inventory import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    Inventory,
    fencing_of,
    from_config_map,
    is_inventory,
    to_config_map,
)
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.names import FIELD_MANAGER
from pilothouse.models.objects import ObjectRef

log = structlog.get_logger()

_TRIES: Final = 5
"""Rounds of read and write: each one lost means that somebody else's write got through."""


FENCE_SECONDS: Final = 1.0
"""How old the last look at the inventory may be when a write begins."""


class Claim(NamedTuple):
    """What a writer found when it came."""

    before: Inventory
    """What was stored, with our number on it."""
    interrupts: bool
    """Whether another writer had begun and not ended: it may not know yet that it lost."""


class InventoryStore:
    """One environment's inventory in its cluster."""

    def __init__(self, transport: Transport, namespace: str, name: str) -> None:
        self._transport = transport
        self.namespace = namespace
        self.name = name
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"

    @property
    def ref(self) -> ObjectRef:
        """The ConfigMap itself: no bundle may hold an object of this identity."""
        return ObjectRef(
            api_version="v1", kind="ConfigMap", namespace=self.namespace, name=self.name
        )

    async def read(self) -> Inventory | None:
        """The inventory as stored; None if there is none yet.

        Raises:
            PermanentError: `ClusterRefused`, it may not be read or is damaged.
            TemporaryError: `ClusterUnavailable`.
        """
        live = await self._read()
        return None if live is None else from_config_map(live)

    async def claim(self, *, fencing: int, operation: str, environment: str) -> Claim:
        """Become the writer: from here on a lower fencing number is refused. Idempotent.

        Raises:
            PermanentError: `Fenced`, a newer writer was here; `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`.
        """
        stamp = {"fencing": fencing, "operation": operation, "environment": environment}
        found, wanted = await self._replace(fencing, stamp)
        other = found is not None and found.operation not in {"", operation}
        return Claim(wanted, other and found is not None and not found.complete)

    async def check(self, fencing: int) -> None:
        """Make sure that no newer writer has come; reads the inventory's metadata only.

        Raises:
            PermanentError: `Fenced`.
            TemporaryError: `ClusterUnavailable`.
        """
        live = await self._read(METADATA)
        if live is not None:
            _refuse_older(*fencing_of(live), fencing)

    async def store(self, inventory: Inventory) -> None:
        """Store a whole inventory under its own fencing number. Idempotent.

        Raises:
            PermanentError: `Fenced`, a newer writer was here; `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`.
        """
        fields = {name: getattr(inventory, name) for name in Inventory.model_fields}
        await self._replace(inventory.fencing, fields)

    async def _replace(
        self, fencing: int, fields: dict[str, object]
    ) -> tuple[Inventory | None, Inventory]:
        """Read, check, and write back on the condition that nobody wrote in between.

        Returns:
            What was found, and what is stored now.
        """
        lost: Unavailable | None = None
        for _ in range(_TRIES):
            live = await self._read()
            stored = None if live is None else from_config_map(live)
            if stored is not None:
                _refuse_older(stored.fencing, stored.operation, fencing)
            wanted = (stored or Inventory()).model_copy(update=fields)
            if wanted == stored:
                return stored, wanted
            try:
                await self._write(wanted, text(live, "metadata", "resourceVersion"))
                return stored, wanted
            except Refusal as refusal:
                # 404: deleted since we looked; 409: changed or created. Look again.
                if refusal.code not in {404, 409} or refusal.is_missing_namespace:
                    raise refusal.as_permanent(f"cannot store the inventory {self.name}") from None
            except Unavailable as error:
                if not error.sent:
                    raise
                lost = error
        raise lost or TemporaryError(
            "ClusterUnavailable", f"the inventory {self.name} changes under every write"
        )

    async def _read(self, accept: str = JSON) -> dict[str, JsonValue] | None:
        path = f"{self._collection}/{self.name}"
        try:
            return await self._transport.json("GET", path, accept=accept, seconds=15)
        except Refusal as refusal:
            if refusal.code == 404:
                return None
            raise refusal.as_permanent(f"cannot read the inventory {self.name}") from None

    async def _write(self, inventory: Inventory, version: str) -> None:
        body = to_config_map(inventory, self.namespace, self.name)
        query = {"fieldManager": FIELD_MANAGER}
        if not version:
            await self._transport.json("POST", self._collection, query=query, body=body)
            return
        metadata = body["metadata"]
        if isinstance(metadata, dict):
            metadata["resourceVersion"] = version
        path = f"{self._collection}/{self.name}"
        await self._transport.json("PUT", path, query=query, body=body)


async def find_inventories(transport: Transport, namespace: str) -> dict[str, Inventory]:
    """Every inventory of a namespace that can be read, by name; none where we may not list.

    Raises:
        TemporaryError: `ClusterUnavailable`.
    """
    query = {"labelSelector": f"{MANAGED_BY_LABEL}={MANAGED_BY}"}
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    try:
        listed = objects(await transport.json("GET", path, query=query), "items")
    except Refusal as refusal:
        log.warning("inventories_refused", namespace=namespace, message=str(refusal))
        return {}
    found: dict[str, Inventory] = {}
    for item in listed:
        # Others may carry the label, which is Kubernetes' own: an inventory has our annotations.
        if is_inventory(item):
            found[text(item, "metadata", "name")] = from_config_map(item)
    return found


class Fence:
    """Asks, before each write, whether we are still the writer; at most once a second.

    A write begins no later than `FENCE_SECONDS` after a look that showed no newer writer. A newer
    one that finds an unfinished apply waits so long before its own first write, so that the loser
    begins none after it.
    """

    def __init__(self, store: InventoryStore, fencing: int) -> None:
        self._store = store
        self._fencing = fencing
        self._looked = float("-inf")
        self._lock = asyncio.Lock()

    async def hold(self) -> None:
        """Go on only as the writer.

        Raises:
            PermanentError: `Fenced`, a newer writer has come.
            TemporaryError: `ClusterUnavailable`, nobody can say.
        """
        async with self._lock:
            now = time.monotonic()
            if now - self._looked > FENCE_SECONDS:
                await self._store.check(self._fencing)
                # What was read is as it was when we asked, or newer.
                self._looked = now


def _refuse_older(stored: int, operation: str, fencing: int) -> None:
    if stored > fencing:
        raise PermanentError(
            "Fenced",
            f"a newer deployment ({operation or 'unknown'}, number {stored})"
            f" has taken over; this one holds number {fencing} and must stop",
        )
