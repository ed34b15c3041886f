"""Kubernetes objects, the bundle that one revision renders to, and the plan to apply it."""

import hashlib
import json
from typing import Literal

from pydantic import JsonValue

from pilothouse.models.base import Contract
from pilothouse.models.findings import Finding
from pilothouse.models.repository import Digest, Revision


class ObjectRef(Contract):
    """Which object: enough to find it in a cluster."""

    api_version: str
    kind: str
    namespace: str = ""
    """Empty for cluster-scoped objects."""
    name: str

    def __str__(self) -> str:
        """`Kind/namespace/name`, or `Kind/name` where there is no namespace."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind}/{place}{self.name}"

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]


class Manifest(Contract):
    """One object as Git has it, with the place where it stands."""

    file: str
    line: int
    """1-based line of the document's first key."""
    body: dict[str, JsonValue]

    @property
    def ref(self) -> ObjectRef:
        """The object's identity; absent parts are empty."""
        metadata = self.body.get("metadata")
        fields = metadata if isinstance(metadata, dict) else {}
        return ObjectRef(
            api_version=str(self.body.get("apiVersion") or ""),
            kind=str(self.body.get("kind") or ""),
            namespace=str(fields.get("namespace") or ""),
            name=str(fields.get("name") or ""),
        )


def canonical_json(value: object) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of some bytes: their address in the content store."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Bundle(Contract):
    """Every object that one revision puts into one environment, in apply order."""

    environment: str
    namespace: str
    policy: Digest
    """Digest of the environment's declaration: a changed policy is a changed plan."""
    manifests: tuple[Manifest, ...]

    def digest(self) -> str:
        """What an approval is bound to: the objects' bytes, the environment and its policy.

        File names and lines are left out: moving a manifest changes nothing in the cluster.
        """
        return digest_of(
            canonical_json({
                "environment": self.environment,
                "namespace": self.namespace,
                "policy": self.policy,
                "objects": [manifest.body for manifest in self.manifests],
            })
        )


class RenderedBundle(Contract):
    """A bundle in the content store, with what validation said about it."""

    content: Digest
    """Address of the bundle's JSON."""
    digest: Digest
    """The plan digest, `Bundle.digest()`."""
    objects: int


Action = Literal["create", "change", "recreate", "unchanged", "delete"]
"""`recreate`: an immutable field differs and the environment or the object allows a new one."""

RiskKind = Literal[
    "delete",
    "recreate",
    "replicas_down",
    "rbac",
    "crd",
    "cluster_scoped",
    "image_downgrade",
    "takeover",
]
"""What a reviewer should not overlook."""


class Risk(Contract):
    """One thing about a change that a reviewer should not overlook."""

    kind: RiskKind
    message: str
    """One sentence, e.g. `replicas go from 5 to 2`."""


class FieldChange(Contract):
    """One field that an apply would change; in Secrets the values are masked."""

    path: str
    """JSON pointer into the object; empty for the whole object."""
    title: str = ""
    """The path as people write it, list items by name: `spec.containers[api].image`."""
    kind: Literal["add", "remove", "replace"]
    before: JsonValue = None
    after: JsonValue = None
    masked: bool = False
    """The values may be secret: both are left out, and only that they differ is said."""


class ObjectChange(Contract):
    """What a plan would do to one object."""

    action: Action
    object: ObjectRef
    fields: tuple[str, ...] = ()
    """JSON pointers that differ, at most 20."""
    diff: tuple[FieldChange, ...] = ()
    """The differences with their values; only in the plan's document, never in a history."""
    risks: tuple[Risk, ...] = ()
    file: str = ""
    line: int = 0
    """Where Git has it, if it does."""


class Plan(Contract):
    """What one revision would do to one environment."""

    digest: Digest
    """Covers objects, environment and policy; not the live state."""
    revision: Revision
    environment: str
    counts: dict[Action, int]
    fencing: int = 0
    """The highest fencing number that ever wrote to the inventory; 0 if nothing did."""
    changes: tuple[ObjectChange, ...] = ()
    """Everything but `unchanged`, in apply order, at most 100; `counts` has the whole."""
    findings: tuple[Finding, ...] = ()
    """What the API server's dry-run refused, one finding an object."""
    risks: dict[RiskKind, int] = {}
    """How many objects carry each risk, of all changes."""
    review: str = ""
    """The plan as Markdown for people, at most 12 KiB, no secret in it."""
    document: str = ""
    """Address in the content store of the whole plan as JSON, every diff included; may be empty."""
    rehearsal: str = ""
    """Address in the content store of what the dry-run met, so that an apply that meets the same
    need not ask again; may be empty."""

    @property
    def changes_something(self) -> bool:
        """Whether an apply would write anything."""
        return any(count for action, count in self.counts.items() if action != "unchanged")


class ObjectResult(Contract):
    """What really happened to one object: read back, never assumed."""

    object: ObjectRef
    result: Literal[
        "created",
        "configured",
        "recreated",
        "unchanged",
        "deleted",
        "kept",
        "skipped",
        "refused",
        "unknown",
    ]
    """`kept`: a delete that was not confirmed, still in the inventory. `skipped`: the object's own
    annotation says so. `unknown`: not readable."""
    message: str = ""


class ApplyReport(Contract):
    """The outcome of one apply, as a whole and per object."""

    ok: bool
    counts: dict[str, int]
    problems: tuple[ObjectResult, ...] = ()
    """The objects that were refused, kept or are unknown, at most 50."""
    message: str = ""

    @property
    def wrote(self) -> bool:
        """Whether anything in the cluster may have changed."""
        untouched = {"unchanged", "skipped", "kept"}
        return any(count for result, count in self.counts.items() if result not in untouched)
