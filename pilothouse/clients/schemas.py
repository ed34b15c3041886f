"""The JSON Schemas of Kubernetes' own kinds, from the package kubernetes-validate, offline."""

import functools
import importlib.util
import json
import re
from pathlib import Path

from pydantic import JsonValue

from pilothouse.gitops.validation.crds import Schema
from pilothouse.models.errors import PermanentError

DEFAULT_VERSION = "1.36"
_FOLDER = re.compile(r"v(\d+)\.(\d+)\.\d+-local-strict")
_PREFIX = "#/$defs/"
_STABILITY = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


class BuiltInSchemas:
    """Implements `SchemaSource` for one version of Kubernetes.

    The 1.6 MB of definitions are read once, and each kind's schema is cut out of them: compiled
    alone it costs a tenth of the whole.
    """

    def __init__(self, version: str, definitions: dict[str, Schema]) -> None:
        self.version = version
        self._definitions = {name: _simplified(item) for name, item in definitions.items()}
        self._kinds: dict[tuple[str, str], str] = {}
        for name, item in definitions.items():
            for entry in _entries(item):
                group, api = str(entry.get("group", "")), str(entry.get("version", ""))
                api_version = f"{group}/{api}" if group else api
                self._kinds[api_version, str(entry.get("kind", ""))] = name

    @functools.cached_property
    def groups(self) -> frozenset[str]:
        """The API groups that Kubernetes itself serves; the core group is empty."""
        return frozenset(api_version.rpartition("/")[0] for api_version, _ in self._kinds)

    def api_versions(self, kind: str) -> tuple[str, ...]:
        """Where a kind is served, stable versions first."""
        return tuple(sorted((api for api, known in self._kinds if known == kind), key=_stability))

    def kinds(self, api_version: str) -> tuple[str, ...]:
        """The kinds of one API version, sorted."""
        return tuple(sorted(kind for api, kind in self._kinds if api == api_version))

    def schema(self, api_version: str, kind: str) -> Schema | None:
        """One kind's schema with all that it refers to, or None if there is no such kind."""
        root = self._kinds.get((api_version, kind))
        if root is None:
            return None
        needed: dict[str, JsonValue] = {}
        pending = [root]
        while pending:
            name = pending.pop()
            if name not in needed:
                needed[name] = self._definitions[name]
                pending += _references(self._definitions[name])
        return {"$ref": _PREFIX + root, "$defs": needed}


@functools.lru_cache(maxsize=4)
def built_in_schemas(version: str = DEFAULT_VERSION) -> BuiltInSchemas:
    """The schemas of a version of Kubernetes, e.g. `1.36`, or of the nearest one that is known.

    Raises:
        PermanentError: `InvalidRequest`, if the version is not one or no schemas are installed.
    """
    wanted = re.fullmatch(r"v?1\.(\d+)(\.\d+)?", version)
    if wanted is None:
        raise PermanentError(
            "InvalidRequest", f"{version!r} is no version of Kubernetes; write it as 1.36"
        )
    known = _installed()
    minor = min(known, key=lambda number: (abs(number - int(wanted[1])), -number))
    data = json.loads((known[minor] / "_definitions.json").read_bytes())
    return BuiltInSchemas(f"1.{minor}", data["$defs"])


def _installed() -> dict[int, Path]:
    spec = importlib.util.find_spec("kubernetes_validate")
    places = spec.submodule_search_locations if spec is not None else None
    folders = Path(next(iter(places))) / "kubernetes-json-schema" if places else None
    known = {
        int(match[2]): folder
        for folder in (folders.iterdir() if folders is not None else ())
        if (match := _FOLDER.fullmatch(folder.name))
    }
    if not known:
        raise PermanentError(
            "InvalidRequest",
            "the package kubernetes-validate, which holds the schemas, is not installed",
        )
    return known


def _entries(definition: Schema) -> list[Schema]:
    entries = definition.get("x-kubernetes-group-version-kind")
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]


def _stability(api_version: str) -> tuple[int, int, str]:
    match = _STABILITY.fullmatch(api_version.rpartition("/")[2])
    if match is None:
        return 3, 0, api_version
    rank = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return rank, -int(match[1]) * 100 - int(match[3] or 0), api_version


def _simplified(definition: Schema) -> Schema:
    """Without prose, and with plain choices of types as one list of types.

    The schemas spell "text or integer" as a `oneOf` whose branches both allow null, so that null,
    which the API server accepts, matches twice and fails.
    """
    result: Schema = {}
    for key, value in definition.items():
        if key in {"description", "x-kubernetes-group-version-kind"} and not isinstance(
            value, dict
        ):
            continue
        if key == "oneOf" and (types := _plain_types(value)):
            result["type"] = types
        elif isinstance(value, dict):
            result[key] = _simplified(value)
        else:
            result[key] = value
    return result


def _plain_types(branches: JsonValue) -> list[JsonValue]:
    types: list[JsonValue] = []
    for branch in branches if isinstance(branches, list) else ():
        if not isinstance(branch, dict) or set(branch) != {"type"}:
            return []
        own = branch["type"]
        types += [name for name in (own if isinstance(own, list) else [own]) if name not in types]
    return types


def _references(value: JsonValue) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _references(item)]
    if not isinstance(value, dict):
        return []
    names = [name for item in value.values() for name in _references(item)]
    reference = value.get("$ref")
    if isinstance(reference, str):
        names.append(reference.removeprefix(_PREFIX))
    return names
