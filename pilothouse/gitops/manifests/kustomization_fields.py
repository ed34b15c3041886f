"""The fields of a kustomization file, and which of them name files.

Kustomize reads field names without regard to capitals, as Go does: `Resources` is `resources`. So
a field is known here in its one documented spelling, or the file is refused.
"""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from pilothouse.gitops.manifests.places import escape

_FIELDS = frozenset({
    "apiVersion",
    "bases",
    "buildMetadata",
    "commonAnnotations",
    "commonLabels",
    "components",
    "configMapGenerator",
    "configurations",
    "crds",
    "generatorOptions",
    "generators",
    "images",
    "kind",
    "labels",
    "metadata",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "openapi",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "replicas",
    "resources",
    "secretGenerator",
    "sortOptions",
    "transformers",
    "validators",
    "vars",
})
_PATCH = frozenset({"op", "options", "patch", "path", "target"})
_GENERATOR = frozenset({
    "behavior",
    "env",
    "envs",
    "files",
    "literals",
    "name",
    "namespace",
    "options",
    "type",
})
_ITEM_FIELDS: Mapping[str, frozenset[str]] = {
    "configMapGenerator": _GENERATOR,
    "patches": _PATCH,
    "patchesJson6902": _PATCH,
    "replacements": frozenset({"path", "source", "targets"}),
    "secretGenerator": _GENERATOR,
}
_LISTS = (
    "resources",
    "bases",
    "components",
    "crds",
    "generators",
    "transformers",
    "validators",
    "configurations",
    "patchesStrategicMerge",
)


def unknown_fields(body: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """The JSON pointer and name of each field that is not known, at the two levels that matter."""
    for key in body:
        if key not in _FIELDS:
            yield f"/{escape(key)}", key
    for key, known in _ITEM_FIELDS.items():
        for index, item in enumerate(_list(body.get(key))):
            for inner in item if isinstance(item, dict) else ():
                if inner not in known:
                    yield f"/{key}/{index}/{escape(inner)}", inner
    openapi = body.get("openapi")
    for inner in openapi if isinstance(openapi, dict) else ():
        if inner != "path":
            yield f"/openapi/{escape(inner)}", inner


def named_paths(body: Mapping[str, JsonValue]) -> Iterator[tuple[str, str, JsonValue]]:
    """Each entry that names a file or folder: its field, its JSON pointer, the entry."""
    for key in _LISTS:
        for index, entry in enumerate(_list(body.get(key))):
            yield key, f"/{key}/{index}", entry
    for key in ("patches", "patchesJson6902", "replacements"):
        for index, item in enumerate(_list(body.get(key))):
            if isinstance(item, dict) and item.get("path"):
                yield key, f"/{key}/{index}/path", item["path"]
    for key in ("configMapGenerator", "secretGenerator"):
        for index, item in enumerate(_list(body.get(key))):
            if isinstance(item, dict):
                yield from _generator_paths(key, f"/{key}/{index}", item)
    openapi = body.get("openapi")
    if isinstance(openapi, dict) and openapi.get("path"):
        yield "openapi", "/openapi/path", openapi["path"]


def _generator_paths(
    key: str, pointer: str, item: Mapping[str, JsonValue]
) -> Iterator[tuple[str, str, JsonValue]]:
    if item.get("env"):
        yield key, f"{pointer}/env", item["env"]
    for field in ("files", "envs"):
        for index, entry in enumerate(_list(item.get(field))):
            if isinstance(entry, str):
                path = entry.partition("=")[2] if "=" in entry else entry
                yield key, f"{pointer}/{field}/{index}", path


def _list(value: JsonValue | None) -> list[JsonValue]:
    return value if isinstance(value, list) else []
