"""Values from `configs/` in the place of `{{name}}`, typed, on the parsed tree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.placeholders import TOKEN, has_token, name_in, unshield
from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.manifests.values import Value, Values
from pilothouse.models.findings import Finding, Severity

DISABLED = "pilothouse.dev/substitute"
"""Annotation: with the value `disabled`, the object's double braces are text, e.g. a dashboard."""
_MOST_NAMES = 20


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
    if not _holds_token(manifest.body):
        return Substituted(manifest, ())
    disabled = _is_disabled(manifest.body)
    putter = Putter(manifest, None if disabled else values, fields_of(manifest.ref.kind))
    body = putter.put(manifest.body, "")
    loaded = manifest.with_body(body) if isinstance(body, dict) else manifest
    name = str(loaded.ref)
    named = (finding.model_copy(update={"object": name}) for finding in putter.findings)
    return Substituted(loaded, tuple(named))


def _holds_token(value: JsonValue) -> bool:
    """Whether there is anything to do: most objects have no placeholder."""
    if isinstance(value, str):
        return has_token(value)
    if isinstance(value, dict):
        return any(has_token(key) or _holds_token(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_holds_token, value))


def _is_disabled(body: Mapping[str, JsonValue]) -> bool:
    metadata = body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and annotations.get(DISABLED) == "disabled"


_TEXT_MAPS = frozenset({"annotations", "labels", "matchLabels", "nodeSelector", "stringData"})


@dataclass(frozen=True, slots=True)
class Fields:
    """What can stand at the JSON pointers of one kind of document."""

    is_text: Callable[[str], bool]
    """Nothing but text: a port number in `env` must be a string."""
    is_data: Callable[[str], bool]
    """A file for a program, in which double braces may be its own."""
    is_left: Callable[[str], bool] = lambda _: False
    """Left as it is: it is YAML inside a text, which no value may meet."""


def fields_of(kind: str) -> Fields:
    """The fields of a kind of Kubernetes object."""
    return Fields(lambda path: _is_text_field(kind, path), lambda path: _is_data(kind, path))


def _is_data(kind: str, path: str) -> bool:
    return kind in {"ConfigMap", "Secret"} and path.startswith(("/data/", "/stringData/"))


def _is_text_field(kind: str, path: str) -> bool:
    steps = path.split("/")[1:]
    above, last = steps[-2] if len(steps) > 1 else "", steps[-1]
    return (
        above in _TEXT_MAPS
        or (kind in {"ConfigMap", "Secret"} and steps[0] in {"data", "binaryData"})
        or (last == "value" and "env" in steps[-3:-1])
        or (above == "metadata" and last in {"name", "namespace"})
    )


class Putter:
    """Walks one object. Without values it only restores what was written."""

    def __init__(self, manifest: LoadedManifest, values: Values | None, fields: Fields) -> None:
        self._manifest = manifest
        self._values = values
        self._fields = fields
        self.findings: list[Finding] = []

    def put(self, value: JsonValue, path: str) -> JsonValue:
        """The value at a JSON pointer of the object, with what belongs in it."""
        match value:
            case str():
                left = not has_token(value) or self._fields.is_left(path)
                return value if left else self._text(value, path)
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
            new_key = self.inside(key, where) if has_token(key) else key
            if new_key in result:
                self._report(where, "yaml-duplicate-key", f'two keys become "{new_key}"', "")
            result[new_key] = self.put(item, where)
        return result

    def _text(self, text: str, path: str) -> JsonValue:
        whole = TOKEN.fullmatch(text)
        if whole is None or self._values is None:
            return self.inside(text, path)
        value = self._value(name_in(whole), path)
        if value is None:
            return unshield(text)
        if value.text is not None and self._fields.is_text(path):
            return value.text
        return value.value

    def inside(self, text: str, path: str) -> str:
        """A text with the values inside it."""
        if self._values is None:
            return unshield(text)
        return TOKEN.sub(lambda match: self._spelled(match[0], name_in(match), path), text)

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
        if in_use or not self._fields.is_data(path):
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
