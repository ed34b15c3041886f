"""Finding the programs of the control plane: named folder, cache, official release, own build."""

from dataclasses import dataclass
from pathlib import Path

from pilothouse.local.controlplane.build import (
    MODULE,
    build,
    find_go,
    fingerprint,
    kubernetes_version,
)
from pilothouse.local.controlplane.programs import (
    MULTI_CALL,
    PROGRAMS,
    ControlPlaneBinary,
    Progress,
    Source,
    ask_version,
    missing_programs,
    this_platform,
)
from pilothouse.local.controlplane.release import (
    Releases,
    ReleaseUnavailable,
    download,
    read_releases,
)
from pilothouse.local.locks import locked
from pilothouse.models.errors import PermanentError


@dataclass(frozen=True)
class Step:
    """One of the ways to the programs, for `doctor`."""

    source: Source
    usable: bool | None
    """None: only trying would tell."""
    detail: str


async def find_control_plane(
    *,
    directory: Path | None,
    cache: Path,
    progress: Progress,
    module: Path = MODULE,
    releases: Releases | None = None,
) -> ControlPlaneBinary:
    """Find the programs, or get them: the first way that works, in the order of `explain`.

    Args:
        directory: a folder that the user names; if given, nothing else is tried.
        cache: what can be made again; the result of a download or build is kept in it.
        progress: told about waiting, downloads and builds.
        module: the Go module folder: go.mod, go.sum, main.go.
        releases: where releases are; None reads the list beside this module.

    Raises:
        PermanentError: `LocalServiceFailed`, no way works (it names all), a download has the
            wrong checksum, or the build failed.

    Idempotent: yes; a finished download or build is found by the next call. Two calls at once, in
    any processes, do the work once.
    """
    if directory is not None:
        return await _in_directory(directory)
    releases = releases or read_releases()
    shelf = Shelf(cache / "controlplane", module)
    if found := shelf.find():
        return found
    wait_notice = "another process prepares the control plane; waiting for it"
    async with locked(shelf.root / "lock", lambda: progress(wait_notice)):
        return shelf.find() or await _obtain(shelf, module, releases, progress)


async def explain(
    *,
    directory: Path | None,
    cache: Path,
    module: Path = MODULE,
    releases: Releases | None = None,
) -> tuple[Step, ...]:
    """Which ways `find_control_plane` would try, in order; takes none of them."""
    if directory is not None:
        missing = missing_programs(directory)
        detail = str(directory) if not missing else f"{directory} lacks {', '.join(missing)}"
        return (Step("directory", not missing, detail),)
    shelf = Shelf(cache / "controlplane", module)
    found = shelf.find()
    go = await find_go(module)
    return (
        Step("directory", False, "no folder named (PILOTHOUSE_CONTROL_PLANE_DIR)"),
        Step("cache", found is not None, str(found.path if found else shelf.build_folder)),
        _explain_release(releases or read_releases()),
        Step("build", go.path is not None, go.detail),
    )


class Shelf:
    """The cache folder: one folder a build, one for the official release."""

    def __init__(self, root: Path, module: Path) -> None:
        self.root = root
        self.version = kubernetes_version(module)
        self.build_folder = root / f"{self.version}-{fingerprint(module)}"
        self.release_folder = root / f"{self.version}-release"

    def find(self) -> ControlPlaneBinary | None:
        """What is there and complete: folders appear whole, by a rename."""
        for folder in (self.build_folder, self.release_folder):
            if not missing_programs(folder):
                return ControlPlaneBinary(folder, self.version, "cache")
        return None


async def _obtain(
    shelf: Shelf, module: Path, releases: Releases, progress: Progress
) -> ControlPlaneBinary:
    reasons = []
    try:
        await download(releases, shelf.release_folder, progress)
        return ControlPlaneBinary(shelf.release_folder, shelf.version, "release")
    except ReleaseUnavailable as error:
        reasons.append(str(error))
        progress(f"official release: {error}")
    go = await find_go(module)
    if go.path is not None:
        await build(module, go.path, shelf.build_folder, shelf.version, progress)
        return ControlPlaneBinary(shelf.build_folder, shelf.version, "build")
    reasons.append(go.detail)
    raise PermanentError("LocalServiceFailed", _no_way(shelf, reasons))


def _no_way(shelf: Shelf, reasons: list[str]) -> str:
    return (
        f"no Kubernetes {shelf.version} control plane for this machine. One of four is needed: "
        "(1) set PILOTHOUSE_CONTROL_PLANE_DIR to a folder that holds "
        f"{', '.join(PROGRAMS)}; "
        f"(2) copy the cache folder {shelf.build_folder} from a machine that has built it; "
        f"(3) a connection to the official release ({reasons[0]}); "
        f"(4) Go on PATH, to build it in about 6 minutes ({reasons[1]}). "
        "Or use a cluster you have: set PILOTHOUSE_KUBECONFIG."
    )


def _explain_release(releases: Releases) -> Step:
    here = this_platform()
    if here not in releases.platforms:
        return Step("release", False, f"no official server programs for {here}")
    return Step("release", None, f"Kubernetes {releases.kubernetes.version} for {here}, if online")


async def _in_directory(directory: Path) -> ControlPlaneBinary:
    missing = missing_programs(directory)
    if missing:
        raise PermanentError(
            "LocalServiceFailed",
            f"the control plane folder {directory} lacks {', '.join(missing)} (or one executable "
            f"named {MULTI_CALL}); add them, or unset PILOTHOUSE_CONTROL_PLANE_DIR",
        )
    return ControlPlaneBinary(directory.absolute(), await ask_version(directory), "directory")
