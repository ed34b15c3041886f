"""`pilothouse up` and `down`: the same services, left running."""

import tempfile
from pathlib import Path

from pilothouse.cli.demo.author import EXAMPLE, Edit, first_commit
from pilothouse.cli.demo.narrator import Narrator
from pilothouse.clients.settings import read_settings
from pilothouse.local.addresses import Addresses
from pilothouse.local.git_server.repositories import Repositories
from pilothouse.local.services import LocalServices

NAMESPACES = ("model-api-staging", "model-api-production")


def seed(repositories: Path, name: str, *edits: Edit) -> None:
    """Make the example's repository on the server's disk, once; its first commit tells nobody."""
    repositories.mkdir(parents=True, exist_ok=True, mode=0o700)
    bare = repositories / f"{name}.git"
    if bare.exists():
        return
    Repositories(repositories).create(name)
    with tempfile.TemporaryDirectory() as folder:
        source = first_commit(Path(folder) / name, *edits)
        # Fetched from inside: a push would run the hook that tells the bridge.
        source.git.execute([
            "git",
            "--git-dir",
            str(bare),
            "fetch",
            "-q",
            source.working_dir,
            "main:main",
        ])


async def start(*, kubeconfig: Path | None, context: str) -> None:
    """Start everything and return; says where it is."""
    narrator = Narrator()
    settings = read_settings()
    services = LocalServices(
        settings.local_dir, repositories=(EXAMPLE,), detached=True, progress=narrator.progress
    )
    if services.find_running():
        narrator.line("The services run already.", 0)
        _say_where(narrator, services.addresses)
        return
    try:
        seed(services.repositories_dir, EXAMPLE)
        async with narrator.waiting("starting Temporal, Git server, bridge and workers"):
            await services.start()
            await services.start_agents_worker()
        async with narrator.waiting("starting the cluster's part"):
            if kubeconfig is not None:
                await services.start_cluster_worker(kubeconfig.absolute(), context)
            else:
                await services.start_cluster(
                    control_plane_dir=settings.control_plane_dir,
                    cache=settings.cache_dir,
                    namespaces=NAMESPACES,
                )
    except BaseException:
        await services.stop()
        raise
    _say_where(narrator, services.addresses)


def _say_where(narrator: Narrator, addresses: Addresses) -> None:
    narrator.line(f"Temporal Web UI: {addresses.web_ui}", 0)
    narrator.line(f"Example repository: {addresses.git}/{EXAMPLE}.git", 0)
    narrator.line("For your shell:", 0)
    narrator.command(f"export TEMPORAL_ADDRESS={addresses.temporal}")
    if addresses.admin_kubeconfig:
        narrator.command(f"export KUBECONFIG={addresses.admin_kubeconfig}")
    narrator.line("Stop with: pilothouse down", 0)


async def stop() -> None:
    """Stop what `start` left running."""
    narrator = Narrator()
    services = LocalServices(
        read_settings().local_dir,
        repositories=(EXAMPLE,),
        detached=True,
        progress=narrator.progress,
    )
    async with narrator.waiting("stopping everything"):
        await services.stop_detached()
