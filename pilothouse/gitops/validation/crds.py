"""The schemas of custom kinds, from the CustomResourceDefinitions of the same set of objects."""

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest

Schema = dict[str, JsonValue]

_COPIED = (
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "required",
    "uniqueItems",
)
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_ANY_OBJECT: Schema = {"type": "object"}
_ANY_TEXT: Schema = {"type": "string"}


class CustomKinds:
    """What the CRDs of one set of objects define."""

    def __init__(self, manifests: Iterable[LoadedManifest]) -> None:
        self._schemas: dict[tuple[str, str], Schema | None] = {}
        self._versions: dict[tuple[str, str], list[str]] = {}
        for manifest in manifests:
            if manifest.ref.kind == "CustomResourceDefinition":
                self._learn(manifest.body.get("spec"))

    def _learn(self, spec: JsonValue | None) -> None:
        if not isinstance(spec, dict) or not isinstance(names := spec.get("names"), dict):
            return
        group, kind = str(spec.get("group", "")), str(names.get("kind", ""))
        versions = spec.get("versions")
        for version in versions if isinstance(versions, list) else ():
            if not isinstance(version, dict) or version.get("served") is False:
                continue
            api_version = f"{group}/{version.get('name', '')}"
            self._versions.setdefault((group, kind), []).append(api_version)
            holder = version.get("schema")
            schema = holder.get("openAPIV3Schema") if isinstance(holder, dict) else None
            self._schemas[api_version, kind] = _root(schema) if isinstance(schema, dict) else None

    def api_versions(self, group: str, kind: str) -> tuple[str, ...]:
        """The API versions that serve a custom kind; empty if the set does not define it."""
        return tuple(self._versions.get((group, kind), ()))

    def schema(self, api_version: str, kind: str) -> Schema | None:
        """The JSON Schema of a custom kind, or None if it has none."""
        return self._schemas.get((api_version, kind))


def _root(schema: Mapping[str, JsonValue]) -> Schema:
    """The whole object: the schema need not speak of apiVersion, kind and metadata."""
    converted = _converted(schema, strict=True)
    properties = converted.get("properties")
    converted["properties"] = (properties if isinstance(properties, dict) else {}) | {
        "apiVersion": _ANY_TEXT,
        "kind": _ANY_TEXT,
        "metadata": _ANY_OBJECT,
    }
    return converted


def _converted(schema: Mapping[str, JsonValue], *, strict: bool) -> Schema:
    """OpenAPI v3 as Kubernetes uses it, as JSON Schema that refuses unknown fields.

    Args:
        schema: one part of a structural schema.
        strict: whether unknown fields are errors here; not inside `anyOf` and its like, which add
            rules to fields but do not declare them.
    """
    result: Schema = {key: schema[key] for key in _COPIED if key in schema}
    _convert_type(schema, result)
    _convert_fields(schema, result, strict=strict)
    items = schema.get("items")
    if isinstance(items, dict):
        result["items"] = _converted(items, strict=strict)
    for junctor in _JUNCTORS:
        branches = schema.get(junctor)
        if isinstance(branches, list):
            result[junctor] = [
                _converted(branch, strict=False) for branch in branches if isinstance(branch, dict)
            ]
    negated = schema.get("not")
    if isinstance(negated, dict):
        result["not"] = _converted(negated, strict=False)
    return result


def _convert_type(schema: Mapping[str, JsonValue], result: Schema) -> None:
    types: list[JsonValue] = []
    if schema.get("x-kubernetes-int-or-string") is True:
        types = ["integer", "string"]
    elif isinstance(schema.get("type"), str):
        types = [schema["type"]]
    if schema.get("nullable") is True and types:
        types.append("null")
        if isinstance(result.get("enum"), list):
            result["anyOf"] = [{"type": "null"}, {"enum": result.pop("enum")}]
    if types:
        result["type"] = types


def _convert_fields(schema: Mapping[str, JsonValue], result: Schema, *, strict: bool) -> None:
    properties = schema.get("properties")
    fields: Schema = {}
    if isinstance(properties, dict):
        fields = {
            name: _converted(part, strict=strict) if isinstance(part, dict) else {}
            for name, part in properties.items()
        }
    if schema.get("x-kubernetes-embedded-resource") is True:
        embedded: Schema = {"apiVersion": _ANY_TEXT, "kind": _ANY_TEXT, "metadata": _ANY_OBJECT}
        fields = embedded | fields
    if fields:
        result["properties"] = fields
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        result["additionalProperties"] = _converted(additional, strict=strict)
    elif (
        strict
        and fields
        and additional is not True
        and schema.get("x-kubernetes-preserve-unknown-fields") is not True
    ):
        result["additionalProperties"] = False
