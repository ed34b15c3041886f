"""The record of what we own in a cluster, kept there as one ConfigMap.

Annotations say who wrote last and for what; the data is the list of objects. The form is
load-bearing: whoever cannot read it cannot prune, so a reader accepts what an older writer wrote.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import JsonValue, ValidationError

from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import Bundle, ObjectRef, canonical_json, digest_of

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "pilothouse"
_PREFIX: Final = "pilothouse.dev/"
_DATA_KEY: Final = "inventory.json"
_RUNS_KEY: Final = "runs.json"

ObjectKey = tuple[str, str, str, str]
"""Group, kind, namespace, name: one object, whatever version of its API it is written in."""


def key_of(ref: ObjectRef) -> ObjectKey:
    """What makes two references mean the same object."""
    return (ref.group, ref.kind, ref.namespace, ref.name)


def run_digest(body: Mapping[str, JsonValue]) -> str:
    """What a Job is remembered by that removes itself when it is done; empty for all else.

    `ttlSecondsAfterFinished` deletes a finished Job. An apply that made it again would run it
    again, each time; so a Job of the same content that was applied and is absent counts as done.
    """
    spec = _map(body.get("spec"))
    is_job = str(body.get("apiVersion")).startswith("batch/") and body.get("kind") == "Job"
    if not is_job or spec.get("ttlSecondsAfterFinished") is None:
        return ""
    return digest_of(canonical_json(body))


def vanishing(bundle: Bundle) -> frozenset[ObjectKey]:
    """The Jobs of a bundle that remove themselves: their absence says that they are done."""
    return frozenset(
        (ref.group, ref.kind, ref.namespace or bundle.namespace, ref.name)
        for ref in (manifest.ref for manifest in bundle.manifests if run_digest(manifest.body))
    )


class Inventory(Contract):
    """What one environment owns, and which write made it so."""

    environment: str = ""
    fencing: int = 0
    """The highest fencing number that ever wrote; a writer with a lower one is refused."""
    operation: str = ""
    """The deployment that wrote last: its workflow id."""
    revision: str = ""
    """What was applied last, whole; empty while nothing ever was."""
    plan: str = ""
    """The plan digest of that revision."""
    bundle: str = ""
    """Address of that revision's bundle in the content store; empty if the writer had none."""
    complete: bool = False
    """Whether the last apply reached its end; if not, `objects` is the union of old and new."""
    objects: tuple[ObjectRef, ...] = ()
    """In apply order."""
    runs: tuple[str, ...] = ()
    """Digests of the runs that were applied and remove themselves; see `run_digest`."""

    def without(self, kept: Iterable[ObjectRef]) -> tuple[ObjectRef, ...]:
        """Our objects that are not among those to keep, in delete order: last applied first."""
        keep = {key_of(ref) for ref in kept}
        return tuple(ref for ref in reversed(self.objects) if key_of(ref) not in keep)

    def joined(self, refs: Iterable[ObjectRef]) -> tuple[ObjectRef, ...]:
        """Old and new objects, each once: those to be applied come last, in their own order."""
        new = tuple(refs)
        names = {key_of(ref) for ref in new}
        return (*(ref for ref in self.objects if key_of(ref) not in names), *new)


def to_config_map(inventory: Inventory, namespace: str, name: str) -> dict[str, JsonValue]:
    """The ConfigMap that keeps an inventory; the caller adds `resourceVersion` to replace one."""
    annotations: dict[str, JsonValue] = {
        _PREFIX + "environment": inventory.environment,
        _PREFIX + "fencing": str(inventory.fencing),
        _PREFIX + "operation": inventory.operation,
        _PREFIX + "revision": inventory.revision,
        _PREFIX + "plan": inventory.plan,
        _PREFIX + "bundle": inventory.bundle,
        _PREFIX + "complete": "true" if inventory.complete else "false",
    }
    objects = [ref.model_dump(exclude_defaults=True) for ref in inventory.objects]
    data: dict[str, JsonValue] = {_DATA_KEY: json.dumps(objects, separators=(",", ":"))}
    if inventory.runs:
        data[_RUNS_KEY] = json.dumps(inventory.runs, separators=(",", ":"))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "annotations": annotations,
        },
        "data": data,
    }


def fencing_of(live: Mapping[str, JsonValue]) -> tuple[int, str]:
    """The fencing number and operation of an inventory, from its metadata alone.

    Raises:
        PermanentError: `ClusterRefused`, the ConfigMap is not ours or was damaged.
    """
    notes = _notes(live)
    return _fencing(live, notes), notes.get("operation", "")


def is_inventory(live: Mapping[str, JsonValue]) -> bool:
    """Whether a ConfigMap with our label keeps an inventory: only these have a fencing number."""
    notes = _map(_map(live.get("metadata")).get("annotations"))
    return _PREFIX + "fencing" in notes


def from_config_map(live: Mapping[str, JsonValue]) -> Inventory:
    """Read an inventory back.

    Raises:
        PermanentError: `ClusterRefused`, the ConfigMap is not ours or was damaged. Guessing what
            we own would end in deleting too much, so a person must look.
    """
    notes = _notes(live)
    fencing = _fencing(live, notes)
    name = _name(live)
    try:
        stored = json.loads(str(_map(live.get("data")).get(_DATA_KEY) or "[]"))
        objects = tuple(ObjectRef.model_validate(item) for item in stored)
        runs = tuple(map(str, json.loads(str(_map(live.get("data")).get(_RUNS_KEY) or "[]"))))
    except (ValueError, TypeError, ValidationError):
        raise _refused(name, f"its {_DATA_KEY} is not a list of objects") from None
    return Inventory(
        environment=notes.get("environment", ""),
        fencing=fencing,
        operation=notes.get("operation", ""),
        revision=notes.get("revision", ""),
        plan=notes.get("plan", ""),
        bundle=notes.get("bundle", ""),
        complete=notes.get("complete") == "true",
        objects=objects,
        runs=runs,
    )


def _notes(live: Mapping[str, JsonValue]) -> dict[str, str]:
    metadata = _map(live.get("metadata"))
    if _map(metadata.get("labels")).get(MANAGED_BY_LABEL) != MANAGED_BY:
        raise _refused(
            _name(live), f"it has no label {MANAGED_BY_LABEL}: {MANAGED_BY}, so it is not ours"
        )
    return {
        key.removeprefix(_PREFIX): str(value)
        for key, value in _map(metadata.get("annotations")).items()
    }


def _fencing(live: Mapping[str, JsonValue], notes: Mapping[str, str]) -> int:
    fencing = notes.get("fencing", "0")
    if not (fencing.isascii() and fencing.isdigit()):
        raise _refused(_name(live), f"annotation {_PREFIX}fencing is not a number")
    return int(fencing)


def _name(live: Mapping[str, JsonValue]) -> str:
    return str(_map(live.get("metadata")).get("name") or "")


def _map(value: JsonValue | None) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _refused(name: str, why: str) -> PermanentError:
    return PermanentError(
        "ClusterRefused",
        f"the ConfigMap {name} cannot be read as an inventory: {why};"
        " restore it, or delete it if this environment owns nothing yet",
    )
