"""What may be asked of the API server about the objects of one bundle, and how one is applied."""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.resources import Resource, Resources
from pilothouse.clients.cluster.transport import APPLY_PATCH, JSON, Transport
from pilothouse.gitops.health import fields
from pilothouse.gitops.health.fields import flag, mapping, text
from pilothouse.models.names import FIELD_MANAGER, OWNER_LABEL
from pilothouse.models.objects import Bundle, Manifest, ObjectRef

_CREATED: Final = 201


class Sight(Enum):
    """Whether we could look at the live object."""

    READ = "read"
    ABSENT = "absent"
    DENIED = "denied"


class Placed(NamedTuple):
    """One object of Git where it really goes to."""

    manifest: Manifest
    ref: ObjectRef
    """With the namespace that it goes to."""
    resource: Resource | None
    """None: the cluster does not serve its kind."""


class Applied(NamedTuple):
    """The server's answer to one apply or its rehearsal."""

    answer: dict[str, JsonValue]
    created: bool

    @property
    def version(self) -> str:
        """The object's `resourceVersion`; empty after the rehearsal of a create."""
        return text(self.answer, "metadata", "resourceVersion")


class Objects:
    """The objects of one bundle, for one inventory."""

    def __init__(
        self, transport: Transport, resources: Resources, bundle: Bundle, inventory: str
    ) -> None:
        self._transport = transport
        self._resources = resources
        self.namespace = bundle.namespace
        """The environment's."""
        self.inventory = inventory
        refs = [manifest.ref for manifest in bundle.manifests]
        self._own_namespaces = {r.name for r in refs if (r.group, r.kind) == ("", "Namespace")}
        self._own_kinds = dict(filter(None, map(_definition, bundle.manifests)))

    async def place(self, manifest: Manifest) -> Placed:
        """Where an object goes to: kinds are looked up once.

        Raises:
            Refusal: discovery is forbidden.
            Unavailable: the server does not answer.
        """
        ref = manifest.ref
        resource = await self._resources.find(ref.api_version, ref.kind)
        scope = self._own_kinds.get((ref.group, ref.kind), "")
        if resource is not None:
            scope = "Namespaced" if resource.namespaced else "Cluster"
        home = {"Namespaced": ref.namespace or self.namespace, "Cluster": ""}
        placed = ref.model_copy(update={"namespace": home.get(scope, ref.namespace)})
        return Placed(manifest, placed, resource)

    def brings_kind(self, ref: ObjectRef) -> bool:
        """Whether the bundle itself defines the kind of an object."""
        return (ref.group, ref.kind) in self._own_kinds

    def brings_namespace(self, ref: ObjectRef) -> bool:
        """Whether the bundle itself holds the namespace of an object."""
        return ref.namespace in self._own_namespaces

    async def read(
        self, resource: Resource, ref: ObjectRef, accept: str = JSON
    ) -> tuple[Sight, dict[str, JsonValue] | None]:
        """The live object, or whether it is absent or may not be read."""
        path = resource.item(ref.namespace, ref.name)
        try:
            return Sight.READ, await self._transport.json("GET", path, accept=accept, seconds=15)
        except Refusal as refusal:
            if refusal.code == 404:
                return Sight.ABSENT, None
            if refusal.code == 403:
                return Sight.DENIED, None
            raise

    async def look(self, ref: ObjectRef) -> tuple[Sight, dict[str, JsonValue] | None]:
        """The live object of a reference; absent where the cluster does not serve its kind."""
        resource = await self._resources.find(ref.api_version, ref.kind)
        return (Sight.ABSENT, None) if resource is None else await self.read(resource, ref)

    async def serves(self, definition: Mapping[str, JsonValue]) -> bool:
        """Whether discovery knows what a CRD defines; true for every other object.

        A CRD is established a moment before its kind can be used.
        """
        if text(definition, "kind") != "CustomResourceDefinition":
            return True
        spec = mapping(definition, "spec")
        for version in fields.objects(spec, "versions"):
            api_version = f"{text(spec, 'group')}/{text(version, 'name')}"
            kind = text(spec, "names", "kind")
            if flag(version, "served") and not await self._resources.find(api_version, kind):
                return False
        return True

    async def apply(
        self,
        ref: ObjectRef,
        resource: Resource,
        body: dict[str, JsonValue],
        *,
        accept: str,
        dry_run: bool,
        force: bool,
    ) -> Applied:
        """Server-side apply, or its rehearsal; the answer holds as much as `accept` asks for.

        Raises:
            Refusal: the server will not take it.
            Unavailable: no answer.
        """
        query = {
            "fieldManager": FIELD_MANAGER,
            "fieldValidation": "Strict",
            "force": "true" if force else "false",
        }
        if dry_run:
            query["dryRun"] = "All"
        code, answer = await self._transport.exchange(
            "PATCH",
            resource.item(ref.namespace, ref.name),
            query=query,
            body=body,
            accept=accept,
            content_type=APPLY_PATCH,
        )
        return Applied(answer, code == _CREATED)

    def labelled(self, placed: Placed) -> dict[str, JsonValue]:
        """A copy of the object that says whose it is: prune deletes nothing without it."""
        body = placed.manifest.body
        metadata = dict(mapping(body, "metadata"))
        metadata["labels"] = {**mapping(metadata, "labels"), OWNER_LABEL: self.inventory}
        if placed.ref.namespace:
            metadata["namespace"] = placed.ref.namespace
        return {**body, "metadata": metadata}

    def owns(self, live: object) -> bool:
        """Whether a live object carries this inventory's label."""
        return text(live, "metadata", "labels", OWNER_LABEL) == self.inventory


def _definition(manifest: Manifest) -> tuple[tuple[str, str], str] | None:
    """The kind that a CRD defines, as (group, kind), and its scope."""
    if manifest.ref.kind != "CustomResourceDefinition":
        return None
    spec = mapping(manifest.body, "spec")
    return (text(spec, "group"), text(spec, "names", "kind")), text(spec, "scope")
