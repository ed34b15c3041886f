"""Reading and comparing one object of a bundle, and the one way to apply it."""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.clients.cluster import refusals, takeover
from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.resources import Resource, Resources
from pilothouse.clients.cluster.transport import (
    APPLY_PATCH,
    JSON,
    METADATA,
    Transport,
)
from pilothouse.gitops.diff import changed_fields
from pilothouse.gitops.health import fields
from pilothouse.gitops.health.fields import flag, mapping, text
from pilothouse.models.findings import Finding
from pilothouse.models.names import FIELD_MANAGER, OWNER_LABEL
from pilothouse.models.objects import Action, Bundle, Manifest, ObjectRef

_TAKEN_OVER: Final = "/metadata/managedFields"
"""Says in a plan that fields pass from `kubectl apply` to us."""
_LOOKS: Final = 3


class Sight(Enum):
    """Whether we could look at the live object."""

    READ = "read"
    ABSENT = "absent"
    DENIED = "denied"


class Comparison(NamedTuple):
    """One object of Git beside the live one."""

    manifest: Manifest
    ref: ObjectRef
    """With the namespace that it really goes to."""
    action: Action
    fields: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    resource: Resource | None = None
    """None: the cluster does not serve its kind yet."""
    live: Mapping[str, JsonValue] | None = None
    version: str = ""
    """The live object's `resourceVersion`, as far as it is known."""
    conflict: bool = False
    """Another manager holds a field of ours with another value."""

    @property
    def refused(self) -> bool:
        """Whether the server would not take it."""
        return any(found.severity == "error" for found in self.findings)


class Objects:
    """What may be done to the objects of one bundle, for one inventory."""

    def __init__(
        self, transport: Transport, resources: Resources, bundle: Bundle, inventory: str
    ) -> None:
        self._transport = transport
        self._resources = resources
        self.namespace = bundle.namespace
        """The environment's."""
        self._inventory = inventory
        refs = [manifest.ref for manifest in bundle.manifests]
        self._own_namespaces = {r.name for r in refs if (r.group, r.kind) == ("", "Namespace")}
        self._own_kinds = dict(filter(None, map(_definition, bundle.manifests)))

    async def compare(self, manifest: Manifest) -> Comparison:
        """Ask the server what applying one object would change; nothing is written.

        Raises:
            Unavailable: the server does not answer.
        """
        ref = manifest.ref
        try:
            resource = await self._resources.find(ref.api_version, ref.kind)
            if resource is None:
                return self._of_unknown_kind(manifest)
            ref = self._placed(ref, resource)
            return await self._beside_live(manifest, ref, resource)
        except Refusal as refusal:
            if refusal.code == 404 and ref.namespace in self._own_namespaces:
                return self._of_new_namespace(manifest, ref)
            found = refusals.refused(manifest, ref, refusal)
            conflict = bool(refusals.conflicts(refusal))
            return Comparison(manifest, ref, "change", findings=(found,), conflict=conflict)

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

    async def _beside_live(
        self, manifest: Manifest, ref: ObjectRef, resource: Resource
    ) -> Comparison:
        """Compare one look at the live object with the rehearsal of an apply to that very look.

        A controller may write between the two: then the difference would be its, so look again.
        """
        for _ in range(_LOOKS):
            sight, live = await self.read(resource, ref)
            version = text(live, "metadata", "resourceVersion")
            found = Comparison(
                manifest, ref, "create", resource=resource, live=live, version=version
            )
            found, wanted = await self._rehearse(found, resource, sight)
            met = text(wanted, "metadata", "resourceVersion")
            if sight is Sight.DENIED:
                return _unseen(found, met)
            if met == version:
                break
        if live is None:
            return found
        changed = changed_fields(live, wanted)
        if takeover.is_needed(live):
            changed.append(_TAKEN_OVER)
        return found._replace(action="change" if changed else "unchanged", fields=tuple(changed))

    async def _rehearse(
        self, found: Comparison, resource: Resource, sight: Sight
    ) -> tuple[Comparison, dict[str, JsonValue]]:
        """What the object would be after an apply; with force only where we may take over."""
        path = resource.item(found.ref.namespace, found.ref.name)
        accept = METADATA if sight is Sight.DENIED else JSON
        try:
            return found, await self.apply(found, path, accept, dry_run=True, force=False)
        except Refusal as refusal:
            if not refusals.may_take_over(refusal):
                raise
        found = found._replace(conflict=True)
        return found, await self.apply(found, path, accept, dry_run=True, force=True)

    async def apply(
        self, comparison: Comparison, path: str, accept: str, *, dry_run: bool, force: bool
    ) -> dict[str, JsonValue]:
        """Server-side apply, or its rehearsal; the server's answer, as far as `accept` asks.

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
        return await self._transport.json(
            "PATCH",
            path,
            query=query,
            body=self._labelled(comparison.manifest, comparison.ref),
            accept=accept,
            content_type=APPLY_PATCH,
        )

    def _labelled(self, manifest: Manifest, ref: ObjectRef) -> dict[str, JsonValue]:
        """A copy of the object that says whose it is: prune deletes nothing without it."""
        metadata = dict(mapping(manifest.body, "metadata"))
        metadata["labels"] = {**mapping(metadata, "labels"), OWNER_LABEL: self._inventory}
        if ref.namespace:
            metadata["namespace"] = ref.namespace
        return {**manifest.body, "metadata": metadata}

    def _placed(self, ref: ObjectRef, resource: Resource) -> ObjectRef:
        namespace = (ref.namespace or self.namespace) if resource.namespaced else ""
        return ref.model_copy(update={"namespace": namespace})

    def _of_unknown_kind(self, manifest: Manifest) -> Comparison:
        ref = manifest.ref
        if (ref.group, ref.kind) in self._own_kinds:
            if not ref.namespace and self._own_kinds[ref.group, ref.kind] == "Namespaced":
                ref = ref.model_copy(update={"namespace": self.namespace})
            message = "its kind comes with this bundle: the server can check it only then"
            note = refusals.finding(manifest, ref, message, "info")
            return Comparison(manifest, ref, "create", findings=(note,))
        message = f"the cluster has no kind {ref.kind} in {ref.api_version}"
        fix = "add its CustomResourceDefinition to Git, or correct apiVersion and kind"
        found = refusals.finding(manifest, ref, message, "error", fix)
        return Comparison(manifest, ref, "create", findings=(found,))

    def _of_new_namespace(self, manifest: Manifest, ref: ObjectRef) -> Comparison:
        message = "its namespace comes with this bundle: the server can check it only then"
        note = refusals.finding(manifest, ref, message, "info")
        return Comparison(manifest, ref, "create", findings=(note,))


def _unseen(comparison: Comparison, version: str) -> Comparison:
    """An object that we may write but not read: the dry-run's version tells whether it exists."""
    if not version:
        return comparison
    message = f"a {comparison.ref.kind} may not be read here: it is planned as a change"
    note = refusals.finding(comparison.manifest, comparison.ref, message, "info")
    return comparison._replace(action="change", findings=(note,), version=version)


def _definition(manifest: Manifest) -> tuple[tuple[str, str], str] | None:
    """The kind that a CRD defines, as (group, kind), and its scope."""
    if manifest.ref.kind != "CustomResourceDefinition":
        return None
    spec = mapping(manifest.body, "spec")
    return (text(spec, "group"), text(spec, "names", "kind")), text(spec, "scope")
