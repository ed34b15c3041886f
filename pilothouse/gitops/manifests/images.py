"""Container images: what a reference means, which ones objects name, and digests for tags."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import Loaded, LoadedManifest
from pilothouse.gitops.manifests.places import escape

_CONTAINERS = frozenset({"containers", "ephemeralContainers", "initContainers"})
_DEFAULT_REGISTRY = "docker.io"
_DEFAULT_NAMESPACE = "library"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image as the distribution grammar reads it, defaults filled in."""

    registry: str
    """Host, or `host:port`."""
    repository: str
    tag: str
    """`latest` where neither tag nor digest is given; empty where only a digest is."""
    digest: str
    """Empty, or `sha256:<hex>`."""


class ImageReferenceError(ValueError):
    """A text is no image reference."""


def parse_image(text: str) -> ImageReference:
    """Read `[registry/]repository[:tag][@sha256:...]`.

    Raises:
        ImageReferenceError: it is none.
    """
    name, _, digest = text.partition("@")
    head, _, rest = name.partition("/")
    # The first part is a host only if it could not be a folder: as Docker reads it.
    is_host = bool(rest) and ("." in head or ":" in head or head == "localhost")
    registry, path = (head, rest) if is_host else (_DEFAULT_REGISTRY, name)
    path, _, tag = path.partition(":")
    if registry == _DEFAULT_REGISTRY and "/" not in path:
        path = f"{_DEFAULT_NAMESPACE}/{path}"
    well_formed = (
        len(text) <= _LONGEST
        and _HOST.fullmatch(registry)
        and _PATH.fullmatch(path)
        and (not tag or _TAG.fullmatch(tag))
        and not name.endswith(":")
        and ("@" not in text or _DIGEST.fullmatch(digest))
    )
    if not well_formed:
        raise ImageReferenceError(f"{text[:_LONGEST]!r} is no image reference")
    return ImageReference(registry, path, tag or ("" if digest else "latest"), digest)


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why an image has no digest."""

    reason: str


Resolver = Callable[[Collection[str]], Mapping[str, str | Unresolved]]
"""Asks registries: for each image as it is written its `sha256:` digest, or why there is none."""


def images_of(manifests: Iterable[LoadedManifest]) -> set[str]:
    """Every image that pods of these objects would run, as it is written."""
    return {image for manifest in manifests for _, image in _images(manifest.body)}


def with_digests(
    manifests: Iterable[LoadedManifest], digests: Mapping[str, str | Unresolved]
) -> Loaded:
    """Each image with its digest, `repository:tag@sha256:...`, and a finding where there is none.

    Images that have a digest stay as they are.

    Args:
        manifests: the objects.
        digests: what a `Resolver` said about `images_of` them.
    """
    result: list[LoadedManifest] = []
    findings = []
    for manifest in manifests:
        changes: dict[str, str] = {}
        for path, image in _images(manifest.body):
            match digests.get(image):
                case str(digest):
                    changes[path] = f"{image}@{digest}"
                case Unresolved(reason):
                    findings.append(
                        manifest.finding(
                            "image-unresolved",
                            "error",
                            f"{image[:_LONGEST]}: {reason}",
                            path=path,
                            fix="Correct the image, push it, or give the registry's credentials.",
                        )
                    )
        replaced = _replaced(manifest.body, changes, "") if changes else manifest.body
        result.append(manifest.with_body(replaced) if isinstance(replaced, dict) else manifest)
    return Loaded(tuple(result), tuple(findings))


def pinned(manifests: Collection[LoadedManifest], resolver: Resolver) -> Loaded:
    """The objects with a digest for every image that has none yet."""
    tagged = {image for image in images_of(manifests) if "@" not in image}
    return with_digests(manifests, resolver(tagged))


def _images(body: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """The JSON pointer and text of each image, in pods, pod templates and custom resources."""
    pending: list[tuple[str, JsonValue]] = [("", dict(body))]
    while pending:
        pointer, value = pending.pop()
        if isinstance(value, list):
            pending += [(f"{pointer}/{index}", item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            for key, item in value.items():
                where = f"{pointer}/{escape(key)}"
                if key in _CONTAINERS and isinstance(item, list):
                    yield from _of_containers(where, item)
                else:
                    pending.append((where, item))


def _of_containers(pointer: str, containers: list[JsonValue]) -> Iterator[tuple[str, str]]:
    for index, container in enumerate(containers):
        image = container.get("image") if isinstance(container, dict) else None
        if isinstance(image, str) and image:
            yield f"{pointer}/{index}/image", image


def _replaced(value: JsonValue, changes: Mapping[str, str], path: str) -> JsonValue:
    if path in changes:
        return changes[path]
    if isinstance(value, list):
        return [_replaced(item, changes, f"{path}/{i}") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            key: _replaced(item, changes, f"{path}/{escape(key)}") for key, item in value.items()
        }
    return value
