"""Values for the placeholders that Kustomize would not hand back as they were.

Kustomize hashes the content of the ConfigMaps and Secrets that it generates into their names, and
writes Secrets in base64. So what a generator reads gets its values before the build, and so do the
fields of a kustomization, some of which are numbers. Objects and patches keep their tokens until
the build is done: only then is it known which field a value stands in, and thus its type.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from pilothouse.gitops.manifests.documents import read_documents
from pilothouse.gitops.manifests.kustomization import Inspection, kustomization_in
from pilothouse.gitops.manifests.kustomization_fields import named_paths
from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.placeholders import has_token, shield, stamp, unshield
from pilothouse.gitops.manifests.places import Document, Place
from pilothouse.gitops.manifests.substitution import DISABLED, Fields, Putter
from pilothouse.gitops.manifests.values import Values
from pilothouse.models.findings import Finding
from pilothouse.models.objects import Manifest, canonical_json, digest_of

_GENERATORS = ("configMapGenerator", "secretGenerator")
_INLINE = ("patches", "patchesJson6902", "patchesStrategicMerge")
_INLINE_PLUGINS = ("generators", "transformers", "validators")
_TYPED = frozenset({
    "count",
    "create",
    "disableNameSuffixHash",
    "immutable",
    "includeSelectors",
    "includeTemplates",
    "index",
})
"""The fields of a kustomization that take no text."""


@dataclass(frozen=True, slots=True)
class Filled:
    """The files that a build reads, and what is wrong with the values in them."""

    files: dict[str, bytes]
    findings: tuple[Finding, ...]


def fill(files: Mapping[str, bytes], inspection: Inspection, values: Values) -> Filled:
    """Put values into kustomizations and into what generators read; mark all other placeholders.

    Args:
        files: the snapshot.
        inspection: of the folder to build, without findings. It is not repeated here: whoever
            runs Kustomize inspects the result again.
        values: the environment's values.
    """
    findings = list(_unspeakable(values))
    result = {path: _text(files[path], path) for path in sorted(inspection.used)}
    generated: dict[str, _Kind] = {}
    for folder in inspection.folders:
        path = kustomization_in(files, folder)
        text = result[path] if path is not None else None
        if path is None or not isinstance(text, str):
            continue
        documents = read_documents(text, path).documents
        for document in documents:
            generated |= dict(_generator_files(folder, document.value))
        if has_token(text):
            result[path] = _kustomization(path, documents, values, findings)
    for path, kind in generated.items():
        text = result[path]
        if kind == "left":
            result[path] = files[path]
        elif isinstance(text, str) and path not in inspection.resources:
            result[path] = _lines(path, text, values, findings, is_env=kind == "lines")
    return Filled(
        {
            path: _stamped(text, values).encode() if isinstance(text, str) else text
            for path, text in result.items()
        },
        tuple(findings),
    )


def _text(data: bytes, path: str) -> str | bytes:
    """With tokens, or as it is where it is no text."""
    try:
        shielded = shield(data.decode(), path)
    except UnicodeDecodeError:
        return data
    return shielded if isinstance(shielded, str) else data


def _unspeakable(values: Values) -> Iterator[Finding]:
    """What is filled in before the build would be read as a token after it."""
    for name, value in values.known.items():
        if value.text is not None and has_token(value.text):
            yield Finding(
                rule="yaml-encoding",
                severity="error",
                file=value.file,
                line=value.line,
                message=f"the value of {name} holds the noncharacter U+1FFFE",
                fix="Remove it; no text needs it.",
            )


def _kustomization(
    path: str, documents: tuple[Document, ...], values: Values, findings: list[Finding]
) -> str:
    written = []
    for document in documents:
        body = _without_disabled(document.value) if isinstance(document.value, dict) else {}
        manifest = LoadedManifest(Manifest(file=path, line=1, body=body), document.place)
        putter = Putter(manifest, values, _FIELDS)
        written.append(json.dumps(putter.put(body, ""), ensure_ascii=False))
        findings += [found.model_copy(update={"object": ""}) for found in putter.findings]
    return "\n---\n".join(written)


def _is_inline(pointer: str) -> bool:
    """Whether a text of a kustomization is a patch or plugin of its own."""
    field, _, rest = pointer[1:].partition("/")
    if field in {"patchesStrategicMerge", *_INLINE_PLUGINS}:
        return True
    return field in _INLINE and rest.endswith("/patch")


_FIELDS = Fields(
    is_text=lambda pointer: pointer.rpartition("/")[2] not in _TYPED,
    is_data=lambda pointer: "/literals/" in pointer,
    is_left=_is_inline,
)


def _without_disabled(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The kustomization, with the braces of its disabled generators as they were written."""
    result = dict(body)
    for key in _GENERATORS:
        items = body.get(key)
        if isinstance(items, list):
            result[key] = [
                _as_written(item) if _is_disabled(body, item) else item for item in items
            ]
    return result


def _as_written(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return unshield(value)
        case list():
            return [_as_written(item) for item in value]
        case dict():
            return {key: _as_written(item) for key, item in value.items()}
        case _:
            return value


def _is_disabled(body: Mapping[str, JsonValue], generator: JsonValue) -> bool:
    """Whether double braces are text in what a generator makes."""
    own = generator.get("options") if isinstance(generator, dict) else None
    for options in (own, body.get("generatorOptions")):
        annotations = options.get("annotations") if isinstance(options, dict) else None
        if isinstance(annotations, dict) and annotations.get(DISABLED) == "disabled":
            return True
    return False


_Kind = Literal["lines", "text", "left"]
"""What a generator reads: a file of variables, any text, or one whose braces are its own."""


def _generator_files(folder: str, body: JsonValue) -> Iterator[tuple[str, _Kind]]:
    if not isinstance(body, dict):
        return
    for key, pointer, entry in named_paths(body):
        field, _, rest = pointer[1:].partition("/")
        items = body.get(field)
        if key not in _GENERATORS or not isinstance(entry, str) or not isinstance(items, list):
            continue
        path = posixpath.normpath(posixpath.join(folder, entry))
        kind: _Kind = "lines" if "/env" in pointer else "text"
        disabled = _is_disabled(body, items[int(rest.partition("/")[0])])
        yield path, "left" if disabled else kind


def _lines(path: str, text: str, values: Values, findings: list[Finding], *, is_env: bool) -> str:
    """A file's text with its values; each finding has its line."""
    fields = Fields(is_text=lambda _: True, is_data=lambda _: True)
    lines = text.splitlines(keepends=True)
    noted = False
    for number, line in enumerate(lines, start=1):
        if not has_token(line):
            continue
        manifest = LoadedManifest(Manifest(file=path, line=number, body={}), Place(number))
        putter = Putter(manifest, values, fields)
        lines[number - 1] = putter.inside(line, "")
        if is_env and len(lines[number - 1].splitlines()) > 1:
            findings.append(_several_lines(path, number))
        for found in putter.findings:
            # Once for a file: a dashboard has hundreds.
            if found.severity != "info" or not noted:
                findings.append(found.model_copy(update={"object": ""}))
            noted |= found.severity == "info"
    return "".join(lines)


def _several_lines(path: str, number: int) -> Finding:
    return Finding(
        rule="value-not-scalar",
        severity="error",
        file=path,
        line=number,
        message="the value has several lines; in a file of variables they would be several",
        fix="Give it a value of one line, or generate the ConfigMap from `files`.",
    )


def _stamped(text: str, values: Values) -> str:
    def stamp_of(name: str) -> str:
        value = values.known.get(name)
        return digest_of(canonical_json(value.value))[7:19] if value is not None else ""

    return stamp(text, stamp_of) if has_token(text) else text
