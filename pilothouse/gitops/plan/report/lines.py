"""The differences of one object as lines, the same on a terminal and in Markdown."""

from collections.abc import Iterator
from difflib import unified_diff
from itertools import islice
from typing import Final, NamedTuple

import yaml
from pydantic import JsonValue

from pilothouse.gitops.image_names import split_image
from pilothouse.gitops.plan.comparison import Difference, of_values
from pilothouse.gitops.plan.identity import identities, label
from pilothouse.gitops.plan.masking import MASK
from pilothouse.gitops.plan.report.visible import visible
from pilothouse.models.objects import FieldChange

MOST_BLOCK_LINES: Final = 40
"""Lines of one added or removed block, or of one text's difference."""
_MOST_TEXT_LINES: Final = 5_000
"""Longer texts are not compared line by line."""
_SHORT: Final = 100
"""Characters of a value that fits beside another one on a line."""


# The C emitter where libyaml is there: a first install writes out every object.
class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # chosen at run time
    """Writes a text of several lines as people do, as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


class Line(NamedTuple):
    """One line of a difference."""

    mark: str
    """`+` added, `-` removed, `~` replaced, a space for context, `@` for a place in a text."""
    text: str

    def __str__(self) -> str:
        """The line with its mark."""
        return f"{self.mark} {self.text}".rstrip()


class StyledLine(NamedTuple):
    """One line for a terminal, and how one with colours shows it."""

    text: str
    style: str = ""


STYLES: Final = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}
"""The mark of a line -> its style."""


def lines_of(change: FieldChange, most: int = MOST_BLOCK_LINES) -> Iterator[Line]:
    """A difference as lines, each of them safe to show; at most about `most`."""
    title = visible(change.title)
    mark = {"add": "+", "remove": "-", "replace": "~"}[change.kind]
    before, after = change.before, change.after
    if change.masked:
        word = {"add": "added", "remove": "removed", "replace": "differs"}[change.kind]
        yield Line(mark, f"{title}  {MASK}, {word}")
    elif change.kind == "replace":
        yield from _replaced(title, before, after, most)
    else:
        yield from _one_sided(mark, title, after if change.kind == "add" else before, most)


def _one_sided(mark: str, title: str, value: JsonValue, most: int) -> Iterator[Line]:
    if not _is_block(value):
        yield Line(mark, f"{title}  {_scalar(value)}")
        return
    if title:
        yield Line(mark, f"{title}:")
    indent = "  " if title else ""
    text = value if isinstance(value, str) else _yaml(value)
    lines = text.rstrip("\n").split("\n")
    # One line more is not worth a line that says so.
    shown = lines if len(lines) <= most + 1 else lines[:most]
    yield from (Line(mark, indent + visible(line)) for line in shown)
    if len(shown) < len(lines):
        yield Line(mark, f"{indent}... {len(lines) - len(shown)} more lines")


def _replaced(title: str, before: JsonValue, after: JsonValue, most: int) -> Iterator[Line]:
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        yield Line("~", f"{title}:")
        yield from _of_texts(before, after, most)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(title, before, after, most)
    elif _is_block(before) or _is_block(after):
        yield from _one_sided("-", title, before, most)
        yield from _one_sided("+", title, after, most)
    else:
        yield Line("~", f"{title}  {_beside(title, before, after)}")


def _beside(title: str, before: JsonValue, after: JsonValue) -> str:
    """Old and new on one line; of an image that only changes its version, the version."""
    if title.endswith("image") and isinstance(before, str) and isinstance(after, str):
        old, new = split_image(before), split_image(after)
        if old.repository == new.repository:
            versions = [text[len(old.repository) :].lstrip(":") for text in (before, after)]
            both = " -> ".join(visible(version) or "(no tag)" for version in versions)
            return f"{both}  ({visible(old.repository)})"
    return f"{_scalar(before)} -> {_scalar(after)}"


def _of_texts(before: str, after: str, most: int) -> Iterator[Line]:
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) > _MOST_TEXT_LINES:
        yield Line(" ", f"  {len(old)} lines -> {len(new)} lines, too many to compare here")
        return
    compared = unified_diff(old, new, n=3, lineterm="")
    lines = list(islice(compared, 2, None))
    if not lines:
        yield Line(" ", "  only the line ends differ")
    for line in lines[:most]:
        yield Line(line[0], f"  {visible(line if line[0] == '@' else line[1:])}")
    if len(lines) > most:
        yield Line(" ", f"  ... {len(lines) - most} more lines")


def _of_lists(
    title: str, before: list[JsonValue], after: list[JsonValue], most: int
) -> Iterator[Line]:
    """A list that stands in another order: that it does, and what else differs."""
    named = identities(before, after)
    if named is None:
        yield from _one_sided("-", title, before, most)
        yield from _one_sided("+", title, after, most)
        return
    old, new = named
    order = f"{_names(before)} -> {_names(after)}" if old.keys() == new.keys() else "changed"
    yield Line("~", f"{title}  order: {order}")
    for name, index in new.items():
        inner = f"{title}[{visible(label(after[index]))}]"
        if name not in old:
            yield from _one_sided("+", inner, after[index], most)
            continue
        for found in of_values(inner, before[old[name]], after[index]):
            yield from lines_of(_as_change(found), most)
    for name, index in old.items():
        if name not in new:
            inner = f"{title}[{visible(label(before[index]))}]"
            yield from _one_sided("-", inner, before[index], most)
    if MASK in str(after):
        yield Line(" ", f"  what is {MASK} in it may differ too")


def _as_change(found: Difference) -> FieldChange:
    """The values are masked already."""
    return FieldChange(
        path=found.path,
        title=found.title,
        kind=found.kind,
        before=found.before,
        after=found.after,
    )


def _names(items: list[JsonValue]) -> str:
    return visible(", ".join(label(item) for item in items))


def _is_block(value: JsonValue) -> bool:
    """Whether a value is better read on lines of its own."""
    if isinstance(value, str):
        return "\n" in value.rstrip("\n") or len(value) > 2 * _SHORT
    if isinstance(value, list):
        return len(value) > 3 or any(isinstance(item, dict | list) for item in value)
    return isinstance(value, dict) and bool(value)


def _scalar(value: JsonValue) -> str:
    """A value on one line, as YAML would have it, so that `"1"` and `1` look different."""
    if isinstance(value, str) and value and not _is_ambiguous(value):
        return visible(value, _SHORT)
    dumped = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10_000
    )
    return visible(dumped.strip().removesuffix("...").strip(), _SHORT)


def _is_ambiguous(text: str) -> bool:
    """Whether a text looks like something else without quotes."""
    return not isinstance(_resolved(text), str) or text != text.strip() or "  " in text


def _resolved(text: str) -> object:
    tag = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return None if any(pattern.match(text) for _, pattern in tag) else text


def _yaml(value: JsonValue) -> str:
    dumped = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=False,
        width=10_000,
    )
    return str(dumped)
