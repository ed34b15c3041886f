"""The stored inventory: one ConfigMap, one writer at a time, never an older one."""

from typing import Final

from pydantic import JsonValue

from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.transport import Transport
from pilothouse.gitops.health.fields import text
from pilothouse.gitops.inventory import Inventory, from_config_map, to_config_map
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.names import FIELD_MANAGER
from pilothouse.models.objects import ObjectRef

_TRIES: Final = 5
"""Rounds of read and write: each one lost means that somebody else's write got through."""


class InventoryStore:
    """One environment's inventory in its cluster."""

    def __init__(self, transport: Transport, namespace: str, name: str) -> None:
        self._transport = transport
        self._namespace = namespace
        self._name = name
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"

    @property
    def ref(self) -> ObjectRef:
        """The ConfigMap itself: no bundle may hold an object of this identity."""
        return ObjectRef(
            api_version="v1", kind="ConfigMap", namespace=self._namespace, name=self._name
        )

    async def read(self) -> Inventory | None:
        """The inventory as stored; None if there is none yet.

        Raises:
            PermanentError: `ClusterRefused`, it may not be read or is damaged.
            TemporaryError: `ClusterUnavailable`.
        """
        live = await self._read()
        return None if live is None else from_config_map(live)

    async def claim(self, *, fencing: int, operation: str, environment: str) -> Inventory:
        """Become the writer: from here on a lower fencing number is refused. Idempotent.

        Returns:
            What was stored before, with our number on it.

        Raises:
            PermanentError: `Fenced`, a newer writer was here; `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`.
        """
        stamp = {"fencing": fencing, "operation": operation, "environment": environment}
        return await self._replace(fencing, stamp)

    async def check(self, fencing: int) -> None:
        """Make sure that no newer writer has come.

        Raises:
            PermanentError: `Fenced`.
        """
        self._refuse_older(await self.read(), fencing)

    async def store(self, inventory: Inventory) -> None:
        """Store a whole inventory under its own fencing number. Idempotent.

        Raises:
            PermanentError: `Fenced`, a newer writer was here; `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`.
        """
        fields = {name: getattr(inventory, name) for name in Inventory.model_fields}
        await self._replace(inventory.fencing, fields)

    async def _replace(self, fencing: int, fields: dict[str, object]) -> Inventory:
        """Read, check, and write back on the condition that nobody wrote in between."""
        lost: Unavailable | None = None
        for _ in range(_TRIES):
            live = await self._read()
            stored = None if live is None else from_config_map(live)
            self._refuse_older(stored, fencing)
            wanted = (stored or Inventory()).model_copy(update=fields)
            if wanted == stored:
                return wanted
            try:
                await self._write(wanted, text(live, "metadata", "resourceVersion"))
                return wanted
            except Refusal as refusal:
                # 404: deleted since we looked; 409: changed or created. Look again.
                if refusal.code not in {404, 409} or refusal.is_missing_namespace:
                    raise refusal.as_permanent(f"cannot store the inventory {self._name}") from None
            except Unavailable as error:
                if not error.sent:
                    raise
                lost = error
        raise lost or TemporaryError(
            "ClusterUnavailable", f"the inventory {self._name} changes under every write"
        )

    async def _read(self) -> dict[str, JsonValue] | None:
        try:
            return await self._transport.json("GET", f"{self._collection}/{self._name}", seconds=15)
        except Refusal as refusal:
            if refusal.code == 404:
                return None
            raise refusal.as_permanent(f"cannot read the inventory {self._name}") from None

    async def _write(self, inventory: Inventory, version: str) -> None:
        body = to_config_map(inventory, self._namespace, self._name)
        query = {"fieldManager": FIELD_MANAGER}
        if not version:
            await self._transport.json("POST", self._collection, query=query, body=body)
            return
        metadata = body["metadata"]
        if isinstance(metadata, dict):
            metadata["resourceVersion"] = version
        path = f"{self._collection}/{self._name}"
        await self._transport.json("PUT", path, query=query, body=body)

    def _refuse_older(self, stored: Inventory | None, fencing: int) -> None:
        if stored is not None and stored.fencing > fencing:
            raise PermanentError(
                "Fenced",
                f"a newer deployment ({stored.operation or 'unknown'}, number {stored.fencing})"
                f" has taken over; this one holds number {fencing} and must stop",
            )
