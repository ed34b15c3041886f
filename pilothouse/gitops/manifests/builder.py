"""From the parser's events to one value with the place of each of its parts.

Built on events rather than on PyYAML's nodes: anchors are visible, a document that breaks a bound
is left at once, and nothing here recurses with the depth of the input.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import JsonValue

from pilothouse.gitops.manifests.places import Document, Place, escape
from pilothouse.gitops.manifests.scalars import Scalar, resolve_plain
from pilothouse.models.findings import Finding

MOST_FINDINGS = 50
"""Of one file; who must correct fifty things does not read more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one file. Beyond them a file is refused, not read in part."""

    size_bytes: int = 4 * 1024 * 1024
    """Whole releases come as one file: operators with their CRDs, dashboards by the dozen."""
    nodes: int = 20_000
    """Scalars, lists and mappings of one document, keys included."""
    depth: int = 64


class BoundBrokenError(Exception):
    """Leave the document at once."""


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is still open."""

    value: "dict[str, JsonValue] | list[JsonValue]"
    place: Place
    key: str | None = None
    key_line: int = 0
    skip: bool = False
    """The pending key stood before: its second value is read and dropped."""


@dataclass(slots=True)
class Builder:
    """Turns parser events into values and places."""

    file: str
    first_line: int
    limits: Limits
    documents: list[Document] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    nodes: int = 0
    broken: bool = False
    """An alias or foreign tag: the value is not what stands there, so it is not handed on."""

    def take(self, event: Any) -> None:
        """One event of `yaml.parse`, whose stubs give it no type."""
        match event:
            case yaml.ScalarEvent():
                self._check(event)
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._check(event)
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._report("yaml-alias", event, f"alias *{event.anchor}", "Write the value out.")
                self.broken = True
                self._add(None, Place(self._line(event)))
            case yaml.DocumentStartEvent():
                self.nodes, self.broken = 0, False
            case _:
                pass

    def _check(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            self._bound(event, f"the document has more than {self.limits.nodes:,} values")
        if event.anchor:
            self._report("yaml-alias", event, f"anchor &{event.anchor}", "Write the value out.")

    def _bound(self, event: Any, message: str) -> None:
        self._report("yaml-limit", event, message, "Split the document.")
        raise BoundBrokenError

    def _open(self, event: Any) -> None:
        if len(self.stack) >= self.limits.depth:
            self._bound(event, f"the document is nested deeper than {self.limits.depth} levels")
        mapping = isinstance(event, yaml.MappingStartEvent)
        expected = "tag:yaml.org,2002:map" if mapping else "tag:yaml.org,2002:seq"
        if event.tag not in {None, "!", expected}:
            self._foreign_tag(event)
        frame = self.stack[-1] if self.stack else None
        line = self._line(event)
        if frame is not None and isinstance(frame.value, dict):
            if frame.key is None:
                self._non_string_key(event, "a list or mapping; a template must be rendered first")
                raise BoundBrokenError
            line = frame.key_line
        if mapping:
            self.stack.append(_Frame({}, Place(line, {})))
        else:
            self.stack.append(_Frame([], Place(line, [])))

    def _close(self) -> None:
        frame = self.stack.pop()
        self._add(frame.value, frame.place)

    def _scalar(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._key(frame, event)
            return
        value = self._value(event)
        spelling = "" if isinstance(value, str) else str(event.value)
        self._add(value, Place(self._line(event), text=spelling))

    def _key(self, frame: _Frame, event: Any) -> None:
        key: str = event.value
        plain = event.implicit[0]
        if plain and key == "<<":
            self._report("yaml-merge-key", event, "merge key <<", "Write the fields out.")
            self.broken = True
        elif plain and not isinstance(resolved := resolve_plain(key), str):
            self._non_string_key(event, f"the {_type_name(resolved)} {key or 'null'}")
        frame.key, frame.key_line = key, self._line(event)
        children = frame.place.children
        if isinstance(children, dict) and key in children:
            frame.skip = True
            self._report(
                "yaml-duplicate-key",
                event,
                f'the key "{key}" stands here a second time; the first is on line '
                f"{children[key].line}",
                "Keep one of them.",
                path=self._pointer() + "/" + escape(key),
            )

    def _non_string_key(self, event: Any, what: str) -> None:
        self._report("yaml-non-string-key", event, f"a key is {what}", "Put the key in quotes.")

    def _value(self, event: Any) -> Scalar:
        match event.tag:
            case None | "!" if event.tag is None and event.implicit[0]:
                value = resolve_plain(event.value)
            case None | "!" | "tag:yaml.org,2002:str":
                return str(event.value)
            case (
                "tag:yaml.org,2002:int"
                | "tag:yaml.org,2002:float"
                | "tag:yaml.org,2002:bool"
                | "tag:yaml.org,2002:null"
            ):
                value = resolve_plain(event.value)
            case _:
                self._foreign_tag(event)
                return None
        if isinstance(value, float) and not math.isfinite(value):
            self._report(
                "yaml-number",
                event,
                f"{event.value} is not a number that JSON can hold",
                "Put it in quotes if it is text.",
            )
            return str(event.value)
        return value

    def _add(self, value: JsonValue, place: Place) -> None:
        if not self.stack:
            if not self.broken and value is not None:
                self.documents.append(Document(value, place))
            return
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
            assert isinstance(frame.place.children, list)
            frame.place.children.append(place)
            return
        if frame.key is None:  # An alias as a key; it has been reported.
            frame.key, frame.key_line = "", place.line
            return
        if not frame.skip:
            frame.value[frame.key] = value
            assert isinstance(frame.place.children, dict)
            frame.place.children[frame.key] = Place(frame.key_line, place.children, place.text)
        frame.key, frame.skip = None, False

    def _foreign_tag(self, event: Any) -> None:
        self.broken = True
        self._report(
            "yaml-tag", event, f"the tag {event.tag} means nothing in JSON", "Remove the tag."
        )

    def _line(self, event: Any) -> int:
        return self.first_line + int(event.start_mark.line)

    def _pointer(self) -> str:
        steps = []
        for frame in self.stack[:-1]:
            step = str(len(frame.value)) if isinstance(frame.value, list) else frame.key or ""
            steps.append("/" + escape(step))
        return "".join(steps)

    def _report(self, rule: str, event: Any, message: str, fix: str, path: str = "") -> None:
        if len(self.findings) >= MOST_FINDINGS:
            raise BoundBrokenError
        self.findings.append(
            Finding(
                rule=rule,
                severity="error",
                file=self.file,
                line=self._line(event),
                path=path or self._pointer(),
                message=message,
                fix=fix,
            )
        )


def _type_name(value: Scalar) -> str:
    match value:
        case bool():
            return "boolean"
        case None:
            return "null value"
        case _:
            return "number"
