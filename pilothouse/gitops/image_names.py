"""The parts of an image reference as it is written, valid or not."""

from typing import NamedTuple


class Image(NamedTuple):
    """The parts of an image reference."""

    repository: str
    tag: str
    digest: str


def split_image(reference: str) -> Image:
    """`registry:5000/team/api:v1@sha256:...` in its parts; what is not given is empty."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return Image(f"{folder}{slash}{last}", tag, digest)
