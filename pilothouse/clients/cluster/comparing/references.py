"""What the objects of a bundle refer to, and neither the bundle nor the cluster has."""

from collections.abc import Awaitable, Callable
from typing import Final

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.resources import Resources
from pilothouse.clients.cluster.transport import METADATA, Transport
from pilothouse.gitops.inventory import ObjectKey, key_of
from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.places import Place
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.references import check_references
from pilothouse.models.findings import Finding
from pilothouse.models.objects import Bundle, ObjectRef

_MADE_BY_THE_CLUSTER: Final = frozenset({
    ("ConfigMap", "kube-root-ca.crt"),
    ("ServiceAccount", "default"),
})
"""What every namespace gets a moment after it was created."""


async def missing_references(
    bundle: Bundle, exists: Callable[[ObjectRef], Awaitable[bool | None]]
) -> list[Finding]:
    """References that lead nowhere, as the cluster was asked about what Git does not hold.

    What may not be read stays what validation made of it, a warning.

    Args:
        bundle: the objects.
        exists: asks the cluster; None where that may not be known. Asked once an object.

    Raises:
        TemporaryError: `ClusterUnavailable`.
    """
    manifests = [LoadedManifest(one, Place(one.line)) for one in bundle.manifests]
    asked: dict[ObjectKey, ObjectRef] = {}

    def placed(ref: ObjectRef) -> ObjectRef:
        return ref.model_copy(update={"namespace": ref.namespace or bundle.namespace})

    def ask_later(ref: ObjectRef) -> bool | None:
        there = placed(ref)
        asked[key_of(there)] = there
        return None

    offline = check_references(ObjectSet(manifests, ask_later, namespace=bundle.namespace))
    if not asked:
        return []
    answers = dict(zip(asked, await in_parallel(exists, list(asked.values())), strict=True))

    def answer(ref: ObjectRef) -> bool | None:
        if (ref.kind, ref.name) in _MADE_BY_THE_CLUSTER:
            return None
        return answers.get(key_of(placed(ref)))

    known = set(offline)
    found = check_references(ObjectSet(manifests, answer, namespace=bundle.namespace))
    return [one for one in found if one.severity == "error" and one not in known]


async def is_there(transport: Transport, resources: Resources, ref: ObjectRef) -> bool | None:
    """Whether the cluster has an object; None if we may not know. Reads metadata only.

    Raises:
        PermanentError: `ClusterRefused`.
        TemporaryError: `ClusterUnavailable`.
    """
    try:
        resource = await resources.find(ref.api_version, ref.kind)
        if resource is None:
            return False
        path = resource.item(ref.namespace, ref.name)
        await transport.json("GET", path, accept=METADATA, seconds=15)
    except Refusal as refusal:
        if refusal.code == 404:
            return False
        if refusal.code == 403:
            return None
        raise refusal.as_permanent(f"cannot look for {ref}") from None
    return True
