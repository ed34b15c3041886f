"""Values from `configs/` in the place of `{{name}}`, typed, on the parsed tree."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from pydantic import JsonValue

from pilothouse.gitops.manifests.documents import decode, read_documents
from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.placeholders import TOKEN, has_token, unshield
from pilothouse.gitops.manifests.places import escape
from pilothouse.models.findings import Finding, Severity

DISABLED = "pilothouse.dev/substitute"
"""Annotation: with the value `disabled`, the object's double braces are text, e.g. a dashboard."""
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a configuration file."""

    value: JsonValue
    text: str | None
    """A scalar as it was written: `1.10` stays `1.10` inside a longer text. None for the rest."""
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one environment."""

    known: Mapping[str, Value] = field(default_factory=dict)
    disputed: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)
    """Names to which two files of the same rank give different values."""
    findings: tuple[Finding, ...] = ()


def read_values(files: Mapping[str, bytes], shared: Iterable[str], own: Iterable[str]) -> Values:
    """The values of configuration files, nested keys joined by dots.

    Args:
        files: the revision's files.
        shared: the files that every environment reads.
        own: the environment's files; their values win.
    """
    findings: list[Finding] = []
    known: dict[str, Value] = {}
    disputed: dict[str, tuple[Value, Value]] = {}
    for rank in (sorted(shared), sorted(own)):
        found: dict[str, Value] = {}
        clashes: dict[str, tuple[Value, Value]] = {}
        for file in rank:
            for name, value in _values_of(file, files[file], findings):
                earlier = found.setdefault(name, value)
                if earlier.value != value.value:
                    clashes[name] = (earlier, value)
        known |= found
        disputed = {name: pair for name, pair in disputed.items() if name not in found} | clashes
    return Values(known, disputed, tuple(findings))


def _values_of(file: str, data: bytes, findings: list[Finding]) -> list[tuple[str, Value]]:
    text = decode(data, file)
    if isinstance(text, Finding):
        findings.append(text)
        return []
    read = read_documents(text, file)
    findings += read.findings
    values: list[tuple[str, Value]] = []
    for document in read.documents:
        pending: list[tuple[str, str, JsonValue]] = [("", "", document.value)]
        while pending:
            name, pointer, value = pending.pop()
            place = document.place.find(pointer)
            if name:
                written = _as_written(value, place.text)
                values.append((name, Value(value, written, file, place.line)))
            if isinstance(value, dict):
                pending += [
                    (f"{name}.{key}" if name else key, f"{pointer}/{escape(key)}", item)
                    for key, item in value.items()
                ]
    return values


def _as_written(value: JsonValue, spelling: str) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return spelling
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Substituted:
    """An object with its values, and what is wrong."""

    manifest: LoadedManifest
    findings: tuple[Finding, ...]


def substitute(manifest: LoadedManifest, values: Values) -> Substituted:
    """Put values into one object that was loaded with `placeholders=True`.

    A text that is exactly one placeholder takes the value's type, unless Kubernetes takes nothing
    but text there; inside a longer text the value is spelled as its file spells it. A missing
    value leaves the placeholder and is a finding: an error, save in the data of a ConfigMap or
    Secret of a repository without any values, where double braces belong to a dashboard or alert.
    """
    if _is_disabled(manifest.body):
        body = _Putter(manifest, None).put(manifest.body, "")
        return Substituted(_with(manifest, body), ())
    putter = _Putter(manifest, values)
    body = putter.put(manifest.body, "")
    loaded = _with(manifest, body)
    name = str(loaded.ref)
    named = (finding.model_copy(update={"object": name}) for finding in putter.findings)
    return Substituted(loaded, tuple(named))


def _with(manifest: LoadedManifest, body: JsonValue) -> LoadedManifest:
    return manifest.with_body(body) if isinstance(body, dict) else manifest


def _is_disabled(body: Mapping[str, JsonValue]) -> bool:
    metadata = body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and annotations.get(DISABLED) == "disabled"


_TEXT_MAPS = frozenset({"annotations", "labels", "matchLabels", "nodeSelector", "stringData"})


def _is_data(kind: str, path: str) -> bool:
    """Whether the text is a file for a program, in which double braces may be its own."""
    return kind in {"ConfigMap", "Secret"} and path.startswith(("/data/", "/stringData/"))


def _is_text_field(kind: str, path: str) -> bool:
    """Whether Kubernetes takes nothing but text here: a port number in `env` must be a string."""
    steps = path.split("/")[1:]
    above, last = steps[-2] if len(steps) > 1 else "", steps[-1]
    return (
        above in _TEXT_MAPS
        or (kind in {"ConfigMap", "Secret"} and steps[0] in {"data", "binaryData"})
        or (last == "value" and "env" in steps[-3:-1])
        or (above == "metadata" and last in {"name", "namespace"})
    )


class _Putter:
    """Walks one object. Without values it only restores what was written."""

    def __init__(self, manifest: LoadedManifest, values: Values | None) -> None:
        self._manifest = manifest
        self._values = values
        self.findings: list[Finding] = []

    def put(self, value: JsonValue, path: str) -> JsonValue:
        match value:
            case str():
                return self._text(value, path) if has_token(value) else value
            case list():
                return [self.put(item, f"{path}/{index}") for index, item in enumerate(value)]
            case dict():
                return self._mapping(value, path)
            case _:
                return value

    def _mapping(self, value: dict[str, JsonValue], path: str) -> JsonValue:
        result: dict[str, JsonValue] = {}
        for key, item in value.items():
            where = f"{path}/{escape(key)}"
            new_key = self._inside(key, where) if has_token(key) else key
            if new_key in result:
                self._report(where, "yaml-duplicate-key", f'two keys become "{new_key}"', "")
            result[new_key] = self.put(item, where)
        return result

    def _text(self, text: str, path: str) -> JsonValue:
        whole = TOKEN.fullmatch(text)
        if whole is None or self._values is None:
            return self._inside(text, path)
        value = self._value(whole[1].strip(), path)
        if value is None:
            return unshield(text)
        if value.text is not None and _is_text_field(self._manifest.ref.kind, path):
            return value.text
        return value.value

    def _inside(self, text: str, path: str) -> str:
        if self._values is None:
            return unshield(text)
        return TOKEN.sub(lambda match: self._spelled(match[0], match[1].strip(), path), text)

    def _spelled(self, token: str, name: str, path: str) -> str:
        value = self._value(name, path)
        if value is None:
            return unshield(token)
        if value.text is None:
            self._report(
                path,
                "value-not-scalar",
                f"{{{{{name}}}}} stands inside a text, but its value in {value.file}:{value.line} "
                "is null, a list or a mapping",
                "Give it a plain value.",
            )
            return unshield(token)
        return value.text

    def _value(self, name: str, path: str) -> Value | None:
        assert self._values is not None
        if name in self._values.disputed:
            one, other = self._values.disputed[name]
            self._report(
                path,
                "value-ambiguous",
                f"{{{{{name}}}}} has two values: {one.file}:{one.line} and "
                f"{other.file}:{other.line}",
                "Keep one, or set it in the environment's own values file.",
            )
            return None
        value = self._values.known.get(name)
        if value is not None:
            return value
        in_use = self._values.known or self._values.disputed
        if in_use or not _is_data(self._manifest.ref.kind, path):
            self._report(path, "value-missing", *self._missing(name))
        elif not any(found.severity == "info" for found in self.findings):
            # Once for an object: a dashboard has hundreds.
            self._report(path, "value-missing", *self._missing(name), "info")
        return None

    def _missing(self, name: str) -> tuple[str, str]:
        names = sorted(self._values.known) if self._values else []
        close = get_close_matches(name, names, n=1)
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
        message = f"{{{{{name}}}}} has no value{hint}; values exist for: {shown or 'nothing'}"
        fix = f"Set {name} in configs/, or annotate the object with {DISABLED}: disabled."
        return message, fix

    def _report(
        self, path: str, rule: str, message: str, fix: str, severity: Severity = "error"
    ) -> None:
        self.findings.append(self._manifest.finding(rule, severity, message, path=path, fix=fix))
