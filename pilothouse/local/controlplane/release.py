"""The official programs: download, check against the published checksum, put in place whole."""

import hashlib
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, ConfigDict

from pilothouse.local.controlplane.programs import Progress, this_platform
from pilothouse.models.errors import PermanentError

CONNECT_SECONDS = 2.0
"""Without a network nobody waits longer for it."""
_READ_SECONDS = 60.0
_REPORT_SECONDS = 2.0
_MAX_BYTES = 500_000_000
_MAX_CHECKSUM_BYTES = 100_000
_CHUNK_BYTES = 1 << 18


class ReleaseUnavailable(Exception):
    """The official release cannot be had here and now; the message says why."""


class Origin(BaseModel):
    """Where one project publishes; `{version}`, `{os}`, `{arch}` and `{program}` are filled in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    url: str
    checksum_url: str
    """A file with the SHA-256 alone, or with lines of checksum and file name."""
    programs: tuple[str, ...] = ()
    """One download for each; empty: one archive."""

    def locate(self, template: str, program: str) -> str:
        """The URL for one program on this machine."""
        system, _, processor = this_platform().partition("/")
        return template.format(version=self.version, os=system, arch=processor, program=program)


class Releases(BaseModel):
    """What is published, and for which platforms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platforms: tuple[str, ...]
    kubernetes: Origin
    etcd: Origin


def read_releases() -> Releases:
    """Read the list of releases that this version of ours was made for."""
    return Releases.model_validate_json(Path(__file__).with_name("releases.json").read_bytes())


async def download(releases: Releases, folder: Path, progress: Progress) -> None:
    """Put the four official programs into `folder`, all or none.

    Raises:
        ReleaseUnavailable: no network, no such release, or none for this platform.
        PermanentError: `LocalServiceFailed`, a checksum does not match; nothing is kept.
    """
    if this_platform() not in releases.platforms:
        raise ReleaseUnavailable(f"there is none for {this_platform()}")
    timeout = aiohttp.ClientTimeout(
        total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=_READ_SECONDS
    )
    # Without transparent decompression the checksum is of the bytes that were published.
    headers = {"Accept-Encoding": "identity"}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".release-") as scratch:
        draft = Path(scratch) / "programs"
        draft.mkdir()
        session = aiohttp.ClientSession(
            timeout=timeout, headers=headers, auto_decompress=False, trust_env=True
        )
        async with session:
            for program in releases.kubernetes.programs:
                await _fetch(session, releases.kubernetes, program, draft / program, progress)
            archive = Path(scratch) / "etcd.tar.gz"
            await _fetch(session, releases.etcd, "etcd", archive, progress)
        _extract(archive, "etcd", draft / "etcd")
        for path in draft.iterdir():
            path.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)


async def _fetch(
    session: aiohttp.ClientSession, origin: Origin, program: str, target: Path, progress: Progress
) -> None:
    url = origin.locate(origin.url, program)
    host = urlsplit(url).hostname
    try:
        checksums = await _read(session, origin.locate(origin.checksum_url, program))
        expected = _expected(checksums, url.rpartition("/")[2])
        label = f"downloading {program} {origin.version} from {host}"
        found = await _save(session, url, target, label, progress)
    except aiohttp.ClientResponseError as error:
        raise ReleaseUnavailable(f"{host} answers {error.status}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ReleaseUnavailable(f"cannot reach {host} ({type(error).__name__})") from error
    if found != expected:
        raise PermanentError(
            "LocalServiceFailed",
            f"{url} does not have the published checksum (expected {expected}, found {found}); "
            "nothing was kept. Something between here and there changes downloads: find out what",
        )


async def _read(session: aiohttp.ClientSession, url: str) -> str:
    """Read a small file; of a larger one its beginning."""
    data = bytearray()
    async with session.get(url, raise_for_status=True) as answer:
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            data += chunk
            if len(data) > _MAX_CHECKSUM_BYTES:
                break
    return data.decode(errors="replace")


async def _save(
    session: aiohttp.ClientSession, url: str, target: Path, label: str, progress: Progress
) -> str:
    """Stream a URL into a file; returns its SHA-256 in hex."""
    digest, size, reported = hashlib.sha256(), 0, time.monotonic()
    progress(label)
    async with session.get(url, raise_for_status=True) as answer:
        total = answer.content_length or 0
        with target.open("wb") as file:
            async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                size += len(chunk)
                if size > _MAX_BYTES:
                    raise PermanentError("LocalServiceFailed", f"{url} is larger than 500 MB")
                digest.update(chunk)
                file.write(chunk)
                if time.monotonic() - reported > _REPORT_SECONDS:
                    reported = time.monotonic()
                    progress(f"{label}: {size >> 20} of {total >> 20} MiB")
    return digest.hexdigest()


def _expected(text: str, name: str) -> str:
    """The checksum of one file in a checksum file of either form."""
    for line in text.splitlines():
        digest, _, file = line.strip().partition(" ")
        if not file or file.strip().lstrip("*") == name:
            return digest.lower()
    raise PermanentError("LocalServiceFailed", f"the published checksums do not name {name}")


def _extract(archive: Path, name: str, target: Path) -> None:
    """Take one program out of an archive, whatever folder it is in there."""
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            if member.isfile() and Path(member.name).name == name:
                source = members.extractfile(member)
                if source is not None:
                    with source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
                    return
    raise PermanentError("LocalServiceFailed", f"the official archive holds no {name}")
