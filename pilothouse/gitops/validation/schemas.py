"""Objects against the schemas of their kinds."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Protocol

import jsonschema_rs

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.crds import CustomKinds, Schema
from pilothouse.gitops.validation.explain import explain
from pilothouse.models.findings import Finding

_GONE_GROUPS = frozenset({"extensions"})
_MOST_PER_OBJECT = 25


class SchemaSource(Protocol):
    """The kinds that one version of Kubernetes serves itself."""

    version: str
    """E.g. `1.36`."""

    @property
    def groups(self) -> frozenset[str]:
        """The API groups; the core group is empty."""

    def api_versions(self, kind: str) -> tuple[str, ...]:
        """Where a kind is served, stable versions first; empty if it is not."""

    def kinds(self, api_version: str) -> tuple[str, ...]:
        """The kinds of one API version."""

    def schema(self, api_version: str, kind: str) -> Schema | None:
        """One kind's JSON Schema without outer references; None if there is no such kind."""


class SchemaCheck:
    """Checks objects; keeps the compiled schemas of built-in kinds, so keep it."""

    def __init__(self, source: SchemaSource) -> None:
        self._source = source
        self._compiled: dict[tuple[str, str], _Compiled] = {}

    def check(self, manifests: Sequence[LoadedManifest]) -> list[Finding]:
        """Every error of every object; custom kinds by the CRDs in the same set."""
        custom = CustomKinds(manifests)
        compiled: dict[tuple[str, str], _Compiled | None] = {}
        unknown: dict[tuple[str, str], list[LoadedManifest]] = {}
        findings: list[Finding] = []
        for manifest in manifests:
            key = (manifest.ref.api_version, manifest.ref.kind)
            if key not in compiled:
                compiled[key] = self._compile(manifest, custom, findings)
            schema = compiled[key]
            if schema is not None:
                findings += _violations(manifest, schema)
            elif (gone := self._not_served(manifest, custom)) is not None:
                findings.append(gone)
            else:
                unknown.setdefault(key, []).append(manifest)
        findings += [_unknown(objects) for objects in unknown.values()]
        return findings

    def _compile(
        self, manifest: LoadedManifest, custom: CustomKinds, findings: list[Finding]
    ) -> "_Compiled | None":
        ref = manifest.ref
        key = (ref.api_version, ref.kind)
        if key in self._compiled:
            return self._compiled[key]
        built_in = self._source.schema(*key)
        if built_in is not None:
            self._compiled[key] = _Compiled(built_in)
            return self._compiled[key]
        schema = custom.schema(*key)
        if schema is None:
            return None
        try:
            return _Compiled(schema)
        except (jsonschema_rs.ValidationError, ValueError):
            message = f"the schema that the set's CRD gives for {ref.kind} cannot be used"
            fix = "Correct the CRD's openAPIV3Schema; until then its objects are not checked."
            findings.append(manifest.finding("crd-schema", "warning", message, fix=fix))
            return _Compiled({})

    def _not_served(self, manifest: LoadedManifest, custom: CustomKinds) -> Finding | None:
        """Why no cluster of this version takes the object, if that can be known."""
        ref = manifest.ref
        where = f"{ref.api_version} {ref.kind}"
        served = custom.api_versions(ref.group, ref.kind)
        if served:
            if ref.api_version in served:
                return None  # The CRD serves it without a schema.
            message = f"{where} is not served by the CRD in this set; use {served[0]}"
        elif ref.group in self._source.groups or ref.group in _GONE_GROUPS:
            served = self._source.api_versions(ref.kind)
            message = f"{where} is not in Kubernetes {self._source.version}"
            if served:
                message += f"; use {served[0]}"
            else:
                close = get_close_matches(ref.kind, self._source.kinds(ref.api_version), n=1)
                message += f' (did you mean "{close[0]}"?)' if close else ""
        else:
            return None
        fix = f"Set apiVersion: {served[0]}." if served else "Correct the kind, or remove it."
        return manifest.finding("api-version", "error", message, path="/apiVersion", fix=fix)


class _Compiled:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.validator = jsonschema_rs.validator_for(
            schema, formats={"byte": _is_base64}, validate_formats=True
        )


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _violations(manifest: LoadedManifest, compiled: _Compiled) -> Iterable[Finding]:
    if compiled.validator.is_valid(manifest.body):
        return
    secret = manifest.ref.kind == "Secret"
    said: set[str] = set()
    for error in compiled.validator.iter_errors(manifest.body):
        for problem in explain(error, compiled.schema, secret=secret):
            # Null breaks the type and the list of values: one mistake, the first is the plainer.
            if problem.path not in said and len(said) < _MOST_PER_OBJECT:
                said.add(problem.path)
                yield manifest.finding(
                    "schema", "error", problem.message, path=problem.path, fix=problem.fix
                )


def _unknown(objects: list[LoadedManifest]) -> Finding:
    ref = objects[0].ref
    count = f" ({len(objects)} objects)" if len(objects) > 1 else ""
    return objects[0].finding(
        "schema-unknown",
        "info",
        f"{ref.api_version} {ref.kind} is not checked against a schema{count}: its CRD is not here",
        fix="Add the CRD to the manifests to have it checked.",
    )
