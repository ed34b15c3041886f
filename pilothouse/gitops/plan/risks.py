"""What about a change a reviewer should not overlook."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.gitops.manifests.scopes import Scopes
from pilothouse.gitops.plan import images, rights
from pilothouse.gitops.validation.shapes import at, entries, text
from pilothouse.models.objects import Action, ObjectRef, Risk

_BUILT_IN: Final = Scopes()
_REPLICAS: Final = (
    ("spec", "replicas"),
    ("spec", "minReplicas"),
    ("spec", "maxReplicas"),
)
_LOST_WITH: Final[Mapping[tuple[str, str], str]] = {
    ("", "Namespace"): "deletes the namespace and everything in it",
    ("", "PersistentVolumeClaim"): "deletes the claim; its volume's data may go with it",
    ("", "PersistentVolume"): "deletes the volume; its data may go with it",
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        "deletes the definition, and every object of its kind in the whole cluster"
    ),
    ("apps", "StatefulSet"): "deletes the set; its claims stay, its pods go",
    ("", "Secret"): "deletes the secret; what mounts it cannot start any more",
}
_LONGEST: Final = 300
"""Characters of a message: names in it are others' to choose."""
_CRD: Final = "CustomResourceDefinition"


class Facts(NamedTuple):
    """What the risks of one change are judged by."""

    action: Action
    ref: ObjectRef
    live: Mapping[str, JsonValue] | None
    """As it is, without what is ignored; None if it is absent or may not be read."""
    wanted: Mapping[str, JsonValue]
    """As it shall be, without what is ignored; empty for a delete."""
    takeover: Sequence[str] = ()
    """The field managers that lose fields to us."""


def risks_of(facts: Facts) -> tuple[Risk, ...]:
    """Every risk of one change, the gravest kinds first; none for an unchanged object."""
    if facts.action == "unchanged":
        return ()
    found = (risk for rule in _RULES for risk in rule(facts))
    return tuple(r if len(r.message) <= _LONGEST else _shortened(r) for r in found)


def _shortened(risk: Risk) -> Risk:
    return risk.model_copy(update={"message": risk.message[: _LONGEST - 3] + "..."})


def _deletes(facts: Facts) -> Iterator[Risk]:
    if facts.action == "delete":
        lost = _LOST_WITH.get((facts.ref.group, facts.ref.kind), "is deleted")
        yield Risk(kind="delete", message=lost)


def _recreates(facts: Facts) -> Iterator[Risk]:
    if facts.action == "recreate":
        message = "is deleted and made anew: what belongs to it is gone in between"
        yield Risk(kind="recreate", message=message)


def _replicas(facts: Facts) -> Iterator[Risk]:
    if facts.live is None or facts.action == "delete":
        return
    for path in _REPLICAS:
        old, new = at(dict(facts.live), *path), at(dict(facts.wanted), *path)
        if path == _REPLICAS[0] and old is not None and new is None:
            # Without an autoscaler that owns the field, the default comes back.
            new = 1
        if not isinstance(old, int) or not isinstance(new, int) or new >= old:
            continue
        nothing = ": nothing of it runs any more" if new == 0 else ""
        message = f"{path[-1]} go from {old} to {new}{nothing}"
        yield Risk(kind="replicas_down", message=message)


def _rbac(facts: Facts) -> Iterator[Risk]:
    if facts.ref.group == rights.GROUP and facts.action != "delete":
        for message in rights.widened(facts.live, facts.wanted):
            yield Risk(kind="rbac", message=message)


def _definitions(facts: Facts) -> Iterator[Risk]:
    if facts.ref.kind != _CRD or facts.action == "delete":
        return
    verb = "brings" if facts.action == "create" else "changes"
    yield Risk(kind="crd", message=f"{verb} the definition of a kind for the whole cluster")
    if facts.live is None:
        return
    for version in sorted(_served(facts.live) - _served(facts.wanted)):
        message = f"version {version} is no longer served: who asks for it finds nothing"
        yield Risk(kind="crd", message=message)


def _cluster_scoped(facts: Facts) -> Iterator[Risk]:
    ref = facts.ref
    if not ref.namespace and not _BUILT_IN.is_namespaced(ref.group, ref.kind):
        yield Risk(kind="cluster_scoped", message="belongs to the whole cluster")


def _images(facts: Facts) -> Iterator[Risk]:
    if facts.live is not None and facts.action != "delete":
        for message in images.setbacks(facts.live, facts.wanted):
            yield Risk(kind="image_downgrade", message=message)


def _takeover(facts: Facts) -> Iterator[Risk]:
    if facts.takeover:
        managers = ", ".join(dict.fromkeys(facts.takeover))
        yield Risk(kind="takeover", message=f"takes fields from {managers}")


def _served(definition: Mapping[str, JsonValue]) -> set[str]:
    versions = entries(at(dict(definition), "spec", "versions"))
    return {text(version.get("name")) for _, version in versions if version.get("served")}


_RULES: Final[tuple[Callable[[Facts], Iterator[Risk]], ...]] = (
    _deletes,
    _recreates,
    _replicas,
    _rbac,
    _definitions,
    _images,
    _takeover,
    _cluster_scoped,
)
