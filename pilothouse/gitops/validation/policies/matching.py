"""Which objects a policy is about: resource rules and selectors, as the API server reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.scopes import Scopes
from pilothouse.gitops.validation.object_set import ObjectSet, selects
from pilothouse.gitops.validation.shapes import at, entries, mapping, text

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_SAME_IN_PLURAL = frozenset({"Endpoints"})


@dataclass(frozen=True, slots=True)
class Subject:
    """One object as an admission request would present it."""

    manifest: LoadedManifest
    group: str
    version: str
    resource: str
    """Plural, e.g. `deployments`."""
    namespaced: bool
    namespace: str
    """Empty for cluster-scoped objects, and where it is not known."""
    namespace_object: dict[str, JsonValue] | None
    """Its Namespace, if that is among the objects."""

    @property
    def labels(self) -> dict[str, JsonValue]:
        """Its own labels."""
        return mapping(at(self.manifest.body, "metadata", "labels"))

    @property
    def namespace_labels(self) -> dict[str, JsonValue]:
        """The labels of its Namespace, with the one that the API server sets."""
        labels = mapping(at(self.namespace_object, "metadata", "labels"))
        return labels | {_NAMESPACE_NAME: self.namespace} if self.namespace else labels


class Subjects:
    """Makes subjects of the objects of one set, custom kinds by their CRDs."""

    def __init__(self, objects: ObjectSet) -> None:
        self._objects = objects
        self._scopes = Scopes(manifest.body for manifest in objects.manifests)
        self._plurals: dict[tuple[str, str], str] = {}
        for manifest in objects.manifests:
            if manifest.ref.kind == "CustomResourceDefinition":
                names = mapping(at(manifest.body, "spec", "names"))
                key = (text(at(manifest.body, "spec", "group")), text(names.get("kind")))
                self._plurals[key] = text(names.get("plural"))

    def subject(self, manifest: LoadedManifest) -> Subject:
        """One object, with its plural, its scope and its Namespace."""
        ref = manifest.ref
        namespaced = self._scopes.is_namespaced(ref.group, ref.kind)
        namespace = (ref.namespace or self._objects.default_namespace) if namespaced else ""
        if (ref.group, ref.kind) == ("", "Namespace"):
            namespace = ref.name
        found = self._objects.find("Namespace", "", namespace) if namespace else None
        return Subject(
            manifest=manifest,
            group=ref.group,
            version=ref.api_version.rpartition("/")[2],
            resource=self._plurals.get((ref.group, ref.kind)) or plural(ref.kind),
            namespaced=namespaced,
            namespace=namespace,
            namespace_object=found.body if found is not None else None,
        )


def plural(kind: str) -> str:
    """A built-in kind's resource, e.g. `networkpolicies`; also a good guess for custom kinds."""
    lower = kind.lower()
    if kind in _SAME_IN_PLURAL:
        return lower
    if lower.endswith("s"):
        return f"{lower}es"
    if lower.endswith("y") and lower[-2:-1] not in "aeiou":
        return f"{lower[:-1]}ies"
    return f"{lower}s"


@dataclass(frozen=True, slots=True)
class Match:
    """`matchConstraints` of a policy, or `matchResources` of a binding."""

    fields: Mapping[str, JsonValue]

    def operations(self) -> frozenset[str]:
        """Every operation that its rules name."""
        return frozenset(
            operation
            for _, rule in entries(self.fields.get("resourceRules"))
            for operation in _texts(rule.get("operations"))
        )

    def covers(self, subject: Subject) -> bool | None:
        """Whether it is about a new object; None if that hangs on labels that are not known."""
        rules = self.fields.get("resourceRules")
        exact = self.fields.get("matchPolicy") == "Exact"
        if rules and not any(_rule_covers(rule, subject, exact) for _, rule in entries(rules)):
            return False
        excluded = entries(self.fields.get("excludeResourceRules"))
        if any(_rule_covers(rule, subject, exact) for _, rule in excluded):
            return False
        if not selects(self.fields.get("objectSelector"), subject.labels):
            return False
        return self._namespace_covers(subject)

    def _namespace_covers(self, subject: Subject) -> bool | None:
        selector = mapping(self.fields.get("namespaceSelector"))
        if not subject.namespaced and subject.namespace_object is None:
            return True
        if subject.namespace_object is not None or set(_keys(selector)) <= {_NAMESPACE_NAME}:
            unknown = bool(selector) and bool(_keys(selector)) and not subject.namespace
            return None if unknown else selects(selector, subject.namespace_labels)
        return None


def _rule_covers(rule: Mapping[str, JsonValue], subject: Subject, exact: bool) -> bool:
    operations = _texts(rule.get("operations"))
    names = _texts(rule.get("resourceNames"))
    scope = text(rule.get("scope")) or "*"
    return (
        ("CREATE" in operations or "*" in operations)
        and _any_of(rule.get("apiGroups"), subject.group)
        # With `Equivalent` the API server converts other versions of the same objects.
        and (not exact or _any_of(rule.get("apiVersions"), subject.version))
        and any(
            resource in {"*", subject.resource} and inner in {"", "*"}
            for resource, _, inner in (r.partition("/") for r in _texts(rule.get("resources")))
        )
        and (not names or subject.manifest.ref.name in names)
        and scope in {"*", "Namespaced" if subject.namespaced else "Cluster"}
    )


def _any_of(values: JsonValue | None, wanted: str) -> bool:
    listed = _texts(values)
    return "*" in listed or wanted in listed


def _texts(values: JsonValue | None) -> tuple[str, ...]:
    items: Iterable[JsonValue] = values if isinstance(values, list) else ()
    return tuple(item for item in items if isinstance(item, str))


def _keys(selector: Mapping[str, JsonValue]) -> list[str]:
    expressions = entries(selector.get("matchExpressions"))
    return [*mapping(selector.get("matchLabels")), *(text(e.get("key")) for _, e in expressions)]
