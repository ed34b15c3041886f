"""What a comparison goes by, and what it finds."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue

from pilothouse.clients.cluster.resources import Resource
from pilothouse.gitops.inventory import ObjectKey
from pilothouse.models.findings import Finding
from pilothouse.models.objects import Action, Manifest, ObjectChange, ObjectRef
from pilothouse.models.pipeline import IgnoreRule
from pilothouse.models.rehearsal import Met


class Rules(NamedTuple):
    """What a comparison goes by besides Git and the cluster."""

    recreate: bool = False
    """Whether the environment allows objects to be recreated."""
    ignore: Sequence[IgnoreRule] = ()
    take_back: bool = False
    """Whether fields are taken from other managers, unless the object's annotation refuses."""
    met: Mapping[ObjectKey, Met] = {}
    """What a rehearsal that still counts has met."""
    done: Collection[str] = ()
    """Digests of runs that ended and were removed; see `gitops.inventory.run_digest`."""
    detail: bool = True
    """Whether to say what differs, and not only that something does."""


class Comparison(NamedTuple):
    """One object of Git beside the live one."""

    manifest: Manifest
    ref: ObjectRef
    """With the namespace that it really goes to."""
    action: Action
    change: ObjectChange | None = None
    findings: tuple[Finding, ...] = ()
    resource: Resource | None = None
    """None: the cluster does not serve its kind yet."""
    body: dict[str, JsonValue] | None = None
    """What is sent; None: the manifest with our label."""
    live: dict[str, JsonValue] | None = None
    """The live object, kept only where the write needs it: to take over fields of `kubectl`."""
    uid: str = ""
    version: str = ""
    """The live object's `resourceVersion`, as far as it is known."""
    seen: bool = False
    """Whether the live object, or that there is none, was really looked at."""
    force: bool = False
    """Whether the write takes fields from other managers."""
    checked: bool = False
    """Whether the server took the rehearsal."""
    skipped: str = ""
    """Why the object is left alone, whatever Git says."""

    @property
    def refused(self) -> bool:
        """Whether the server would not take it."""
        return any(found.severity == "error" for found in self.findings)

    @property
    def is_drift(self) -> bool:
        """Whether a field surely has another value: ours to put back, or claimed by another."""
        return self.action in {"change", "recreate"} and (self.seen or self.force)
