"""One object by kind and name, as people write it on a command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.resources import Resources
from pilothouse.clients.cluster.transport import Transport
from pilothouse.gitops.health import assess
from pilothouse.gitops.health.fields import objects, text
from pilothouse.models.errors import PermanentError
from pilothouse.models.health import ObjectHealth
from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import HealthCheck

_BUILT_IN: Final = (
    "v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "autoscaling/v2", "policy/v1",
)  # fmt: skip
"""Looked through first: most kinds that people name are here."""


async def health_of(
    kind: str,
    name: str,
    *,
    namespace: str,
    kubeconfig: Path | None = None,
    context: str | None = None,
    checks: Sequence[HealthCheck] = (),
) -> ObjectHealth:
    """Look once at one object of a cluster.

    Args:
        kind: as in a manifest, e.g. `Deployment`; with its group where it is not built in and
            more than one group has the kind, e.g. `Cluster.postgresql.cnpg.io`.
        name: of the object.
        namespace: where it is; counts for nothing if the kind is cluster-scoped.
        kubeconfig: without one, the pod's ServiceAccount or the default kubeconfig.
        context: of the kubeconfig; without one, its current context.
        checks: the repository's own.

    Raises:
        PermanentError: `InvalidRequest`, the cluster has no such kind; `ClusterRefused`.
        TemporaryError: `ClusterUnavailable`.
    """
    transport = await Transport.connect(kubeconfig, context)
    try:
        resources = Resources(transport)
        version, bare = await _find(kind, transport, resources)
        ref = ObjectRef(api_version=version, kind=bare, name=name)
        resource = await resources.of(ref)
        if resource.namespaced:
            ref = ref.model_copy(update={"namespace": namespace})
        return await _look(ref, resource.item(namespace, name), transport, checks)
    except Refusal as refusal:
        raise refusal.as_permanent(f"cannot look at {kind}/{name}") from None
    finally:
        await transport.close()


async def _look(
    ref: ObjectRef, path: str, transport: Transport, checks: Sequence[HealthCheck]
) -> ObjectHealth:
    try:
        live = await transport.json("GET", path, seconds=15)
    except Refusal as refusal:
        if refusal.code == 404:
            return ObjectHealth(object=ref, status="Missing", message="is not in the cluster")
        if refusal.is_denied:
            return ObjectHealth(object=ref, status="Unknown", message="may not be read")
        raise
    return assess(live, checks)


async def _find(kind: str, transport: Transport, resources: Resources) -> tuple[str, str]:
    """The API version and the bare kind of `Kind` or `Kind.group`."""
    bare, _, group = kind.partition(".")
    if not group:
        for version in _BUILT_IN:
            if await resources.find(version, bare) is not None:
                return version, bare
    answer = await transport.json("GET", "/apis", seconds=15)
    preferred = [
        text(item, "preferredVersion", "groupVersion")
        for item in objects(answer, "groups")
        if group in {"", text(item, "name")}
    ]
    found = [one for one in preferred if await resources.find(one, bare) is not None]
    if not found:
        raise PermanentError(
            "InvalidRequest",
            f"the cluster has no kind {kind!r}; write it as in a manifest, e.g. Deployment",
        )
    if len(found) > 1:
        choices = ", ".join(f"{bare}.{one.partition('/')[0]}" for one in found)
        raise PermanentError("InvalidRequest", f"{bare} is of several groups: write {choices}")
    return found[0], bare
