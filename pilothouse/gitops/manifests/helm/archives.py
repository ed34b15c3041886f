"""Charts that a chart brings along as archives, read in memory."""

import io
import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MOST_BYTES = 32 * 1024 * 1024
_MOST_MEMBERS = 5_000
_MOST_ARCHIVES = 50


class ArchiveError(Exception):
    """An archive cannot be read, or holds what no chart needs."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A chart's files with every archive below `charts/` as a folder."""

    files: dict[str, bytes]
    broken: dict[str, str]
    """Archive -> what is wrong with it."""


def unpack(files: Mapping[str, bytes]) -> Unpacked:
    """Replace each `charts/*.tgz`, also inside another one, by a folder of its name.

    Helm then reads the same bytes that were inspected here. Links, devices and paths that leave
    the archive are refused; sizes and numbers are bounded before anything is read.
    """
    result = dict(files)
    broken: dict[str, str] = {}
    left = _MOST_BYTES
    for _ in range(_MOST_ARCHIVES):
        path = next((path for path in sorted(result) if is_archive(path)), None)
        if path is None:
            return Unpacked(result, broken)
        data = result.pop(path)
        folder = path.removesuffix(".tgz")
        try:
            members = dict(_members(data, left))
        except ArchiveError as error:
            broken[path] = str(error)
            continue
        left -= sum(map(len, members.values()))
        result |= {f"{folder}/{name}": content for name, content in members.items()}
    broken |= {path: "too many archives in one chart" for path in result if is_archive(path)}
    return Unpacked({p: data for p, data in result.items() if not is_archive(p)}, broken)


def is_archive(path: str) -> bool:
    """Whether a path of a chart is a packed chart that Helm would read."""
    folder, name = posixpath.split(path)
    return posixpath.basename(folder) == "charts" and name.endswith(".tgz")


def _members(data: bytes, most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Each file of a packed chart, by its path below the chart's own folder."""
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflated(data, most_bytes))) as archive:
            for count, member in enumerate(archive):
                if count >= _MOST_MEMBERS:
                    raise ArchiveError(f"it holds more than {_MOST_MEMBERS:,} files")
                if member.isdir():
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise ArchiveError(f"{member.name!r} is neither a file nor a folder")
                yield _inside(member.name), content.read()
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ArchiveError(f"it cannot be unpacked: {error}") from error


def _inflated(data: bytes, most_bytes: int) -> bytes:
    """All of it before the first header is read, so that nothing in it can ask for more."""
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        result = inflater.decompress(data, most_bytes + 1)
    except zlib.error as error:
        raise ArchiveError(f"it is not gzip: {error}") from error
    if len(result) > most_bytes:
        raise ArchiveError("it is too large once unpacked")
    return result


def _inside(name: str) -> str:
    """The path without the first folder, which is the chart's name."""
    parts = name.removeprefix("./").split("/")
    if len(parts) < 2 or "\0" in name or "\\" in name or any(p in {"", ".", ".."} for p in parts):
        raise ArchiveError(f"{name!r} does not stand in a folder of the archive")
    return "/".join(parts[1:])
