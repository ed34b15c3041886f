"""Images of a pod template that go back: to an older version, or from a digest to a tag."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.image_names import Image, split_image
from pilothouse.gitops.validation.shapes import at, entries, mapping, text

_POD_SPECS: Final = (
    ("spec", "template", "spec"),
    ("spec", "jobTemplate", "spec", "template", "spec"),
    ("spec",),
)
"""Where a pod's own specification stands: workloads, CronJobs, Pods."""
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_VERSION: Final = re.compile(
    r"v?(?P<numbers>[0-9]{1,9}(?:\.[0-9]{1,9}){0,3})(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+.*)?"
)


def setbacks(live: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> Iterator[str]:
    """One sentence for each container whose image goes back."""
    before = dict(_images(live))
    for container, reference in _images(wanted):
        old, new = split_image(before.get(container, "")), split_image(reference)
        if old.repository != new.repository:
            continue
        if old.digest and not new.digest:
            yield f"{container}: the image was pinned by digest and is now {_named(new)}"
        elif is_older(new.tag, old.tag):
            yield f"{container}: the image goes back from {old.tag} to {new.tag}"


def is_older(tag: str, than: str) -> bool:
    """Whether a tag is a lower version than another, by semantic versioning.

    Tags that are no versions, and variants of different names (`1.2-alpine`, `1.2-slim`), cannot
    be compared and are not older.
    """
    one, other = _VERSION.fullmatch(tag), _VERSION.fullmatch(than)
    if one is None or other is None:
        return False
    numbers, others = _numbers(one["numbers"]), _numbers(other["numbers"])
    if numbers != others:
        return numbers < others
    first, second = one["pre"] or "", other["pre"] or ""
    if not first or not second:
        # `1.2.0-rc.1` comes before `1.2.0`; `1.2.0-alpine` is no version before it.
        return bool(first) and _is_prerelease(first)
    comparable = _is_prerelease(first) and _is_prerelease(second)
    return comparable and _precedence(first) < _precedence(second)


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(".")]
    return numbers + [0] * (4 - len(numbers))


def _is_prerelease(text: str) -> bool:
    return re.match(r"(?i)(alpha|beta|pre|rc|dev|snapshot|m|[0-9])(?![a-z])", text) is not None


def _precedence(text: str) -> list[tuple[int, int, str]]:
    """Numbers come before words, and count as numbers; `rc2` is a word with a number in it."""
    parts = re.findall(r"[0-9]+|[A-Za-z-]+", text)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p.lower()) for p in parts]


def _named(image: Image) -> str:
    return f"tag {image.tag}" if image.tag else "without a tag"


def _images(body: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    for path in _POD_SPECS:
        spec = mapping(at(dict(body), *path))
        for field in _CONTAINERS:
            for _, container in entries(spec.get(field)):
                yield text(container.get("name")), text(container.get("image"))
