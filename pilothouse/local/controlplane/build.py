"""Building the control plane with Go, from the module beside this file."""

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilothouse.local.controlplane.programs import MULTI_CALL, Progress, ask_version
from pilothouse.local.processes import ManagedProcess
from pilothouse.models.errors import PermanentError

GO_FILES = ("go.mod", "go.sum", "main.go")
MODULE = Path(__file__).parent
"""The Go module that is built."""
_REPORT_SECONDS = 5.0
_ASK_SECONDS = 20.0
_BUILD_SECONDS = 3600.0
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True)
class Go:
    """The Go on PATH, and whether it is good enough."""

    path: str | None
    """None: there is none, or it is too old."""
    detail: str


def kubernetes_version(module: Path) -> str:
    """The version of Kubernetes that the Go module pins, as `v1.36.3`."""
    return _search(module / "go.mod", r"^\s*k8s\.io/kubernetes (v[0-9.]+)$")


def fingerprint(module: Path) -> str:
    """Twelve hex digits that change with anything the build is made from."""
    digest = hashlib.sha256()
    for name in GO_FILES:
        digest.update((module / name).read_bytes())
    return digest.hexdigest()[:12]


async def find_go(module: Path) -> Go:
    """Look for a Go on PATH that is new enough for the module."""
    wanted = _search(module / "go.mod", r"^go ([0-9.]+)$")
    path = shutil.which("go")
    if path is None:
        return Go(None, f"no Go on PATH; {wanted} or later is needed")
    with tempfile.TemporaryDirectory() as scratch:
        argv = _with_settings(path, "version")
        async with ManagedProcess("go version", argv, log=Path(scratch) / "version") as process:
            text = await process.finish(timeout_seconds=_ASK_SECONDS)
    match = re.search(r"\bgo(\d+(?:\.\d+)+)", text)
    if match is None or _numbers(match[1]) < _numbers(wanted):
        return Go(None, f"{path} is {text.strip()!r}; {wanted} or later is needed")
    return Go(path, f"Go {match[1]} at {path}: about 6 minutes and 2.3 GB of memory on two cores")


async def build(module: Path, go: str, folder: Path, version: str, progress: Progress) -> None:
    """Build the multi-call binary into `folder`, whole or not at all.

    Works on a copy of the module, so that the installed package is never written. The log stays
    beside the folder, as `build.log`.

    Raises:
        PermanentError: `LocalServiceFailed`, the build failed; the end of its log is quoted.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.parent / "build.log"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".build-") as scratch:
        copy, draft = Path(scratch) / "module", Path(scratch) / "programs"
        copy.mkdir()
        for name in GO_FILES:
            shutil.copyfile(module / name, copy / name)
        total = await _count_packages(go, copy, Path(scratch) / "packages.log", progress)
        target = draft / MULTI_CALL
        argv = _with_settings(go, *_build_arguments(version), "-o", str(target), ".")
        await _compile(argv, copy, log, total, progress)
        if await ask_version(draft) != version:
            raise PermanentError("LocalServiceFailed", f"the build is not Kubernetes {version}")
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)


async def _count_packages(go: str, module: Path, log: Path, progress: Progress) -> int:
    """How many packages a cold build compiles; downloads the modules on the way."""
    started = time.monotonic()

    def report() -> None:
        elapsed = _duration(time.monotonic() - started)
        progress(f"fetching Go modules, {elapsed} so far; about 0.8 GB, most of it once")

    argv = _with_settings(go, "list", "-mod=readonly", "-deps", ".")
    text = await _run("go list", argv, module, log, report)
    return _count(text)


async def _compile(
    argv: Sequence[str], module: Path, log: Path, total: int, progress: Progress
) -> None:
    started = time.monotonic()

    def report() -> None:
        finished = _count(log.read_text(encoding="utf-8", errors="replace"))
        progress(
            f"building with Go: {finished} of at most {total} packages, "
            f"{_duration(time.monotonic() - started)} so far; "
            "about 6 minutes on two cores the first time, the last one is linking"
        )

    log.unlink(missing_ok=True)
    progress(f"building the control plane with Go; its log is {log}")
    await _run("go build", argv, module, log, report)


async def _run(
    name: str, argv: Sequence[str], cwd: Path, log: Path, report: Callable[[], None]
) -> str:
    async with ManagedProcess(name, argv, log=log, cwd=cwd) as process:
        return await process.finish(
            timeout_seconds=_BUILD_SECONDS, report=report, every_seconds=_REPORT_SECONDS
        )


def _with_settings(go: str, *arguments: str) -> tuple[str, ...]:
    # `env` adds to the environment we hand on: Go needs the user's HOME, GOPROXY and GOCACHE.
    # GOTOOLCHAIN=local: a build never downloads another Go.
    return ("env", "CGO_ENABLED=0", "GOTOOLCHAIN=local", go, *arguments)


def _build_arguments(version: str) -> tuple[str, ...]:
    major, minor = version.removeprefix("v").split(".")[:2]
    # Without these the servers call themselves v0.0.0-master, and clients believe them.
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    flags = ["-s", "-w"]
    for package in _VERSION_PACKAGES:
        flags += [f"-X {package}.{name}={value}" for name, value in values.items()]
    # -v names each package as it is compiled: that is what progress counts.
    return ("build", "-v", "-trimpath", "-p", "2", "-mod=readonly", "-ldflags", " ".join(flags))


def _count(text: str) -> int:
    """Package names in Go's output; `go: downloading ...` is not one."""
    return sum(1 for line in text.splitlines() if line and not line.startswith("go: "))


def _search(path: Path, pattern: str) -> str:
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise PermanentError("LocalServiceFailed", f"{path} is not the module of a control plane")
    return match[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
