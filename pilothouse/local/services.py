"""All embedded services of one machine, in one directory: started together, stopped in order.

What needs no cluster starts at once. The control plane may first have to be built, which takes
minutes; pull requests are validated meanwhile. The workers of the cluster queue and of the agents'
queue are processes of their own: one alone is given the kubeconfig, and only the deployer's; the
other alone is given keys of models.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pilothouse.clients.settings import worker_environment
from pilothouse.local.addresses import Addresses, remembered_ports
from pilothouse.local.controlplane import (
    ControlPlane,
    ControlPlaneBinary,
    deployer_kubeconfig,
    find_control_plane,
    grant_environment,
)
from pilothouse.local.detached import DetachedProcess
from pilothouse.local.ports import LOOPBACK
from pilothouse.local.private_files import write_private
from pilothouse.local.processes import LocalProcess, ManagedProcess, Probe
from pilothouse.local.temporal_server import TemporalServer
from pilothouse.models import names

READY_SECONDS = 60.0
TOKEN_LIFETIME = timedelta(days=30)
"""As long as runs are remembered; each `pilothouse up` makes a new token."""
FILES_QUEUES = (names.WORKFLOW_QUEUE, names.GIT_QUEUE, names.WORKSPACE_QUEUE)

Progress = Callable[[str], None]


class LocalServices:
    """Temporal, Git server, bridge, worker; then control plane, nodes and the cluster's worker.

    Args:
        directory: state, logs, secrets; used again, everything goes on where it was.
        repositories: names of the repositories that the bridge listens to.
        detached: the services outlive us; `stop` in a later process finds them.
        progress: told what is waited for.
    """

    def __init__(
        self,
        directory: Path,
        *,
        repositories: Sequence[str],
        detached: bool = False,
        progress: Progress,
    ) -> None:
        self._directory = directory.absolute()
        self._repositories = tuple(repositories)
        self._detached = detached
        self._progress = progress
        self._running: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._ready: dict[str, tuple[LocalProcess, Probe]] = {}
        self.addresses = Addresses("", "", "", "")

    @property
    def data(self) -> Path:
        """The data directory of our own processes: store, mirrors, journal."""
        return self._directory / "data"

    @property
    def repositories_dir(self) -> Path:
        """The bare repositories that the Git server serves."""
        return self._directory / "repositories"

    @property
    def _addresses_file(self) -> Path:
        return self._directory / "services.json"

    def find_running(self) -> bool:
        """Whether an earlier process left the services running; if so, `addresses` says where."""
        if not self._addresses_file.exists() or not self._process("worker", (), {}).running:
            return False
        self.addresses = Addresses.read(self._addresses_file)
        return True

    async def start(self) -> None:
        """Start what needs no cluster.

        Raises:
            PermanentError: `LocalServiceFailed`, with the end of the service's log.
            TemporaryError: `LocalServiceFailed`, not ready in time.
        """
        for folder in (self._directory, self.data, self.repositories_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporal = TemporalServer(self._directory / "temporal", pid_file=self._pid_file("temporal"))
        await temporal.start()
        self._running.append(("temporal", temporal.stop))
        git_port, bridge_port = remembered_ports(self._directory / "ports.json")
        self.addresses = Addresses(
            temporal=temporal.address,
            web_ui=temporal.ui_url,
            git=f"http://localhost:{git_port}",
            webhooks=f"http://localhost:{bridge_port}/webhooks/github",
        )
        secret = self._directory / "webhook-secret"
        if not secret.exists():
            write_private(secret, secrets.token_hex(32))
        self._write_repositories()
        await self._start_git_server(git_port, secret)
        await self._start_bridge(bridge_port, secret)
        await self._start_worker("worker", FILES_QUEUES)
        self.addresses.write(self._addresses_file)

    async def start_cluster(
        self, *, control_plane_dir: Path | None, cache: Path, namespaces: Sequence[str]
    ) -> None:
        """Start the control plane, the simulated nodes, and the worker that may write to it."""
        binary = await find_control_plane(
            directory=control_plane_dir, cache=cache, progress=self._progress
        )
        plane = ControlPlane(binary, self._directory / "cluster", detached=self._detached)
        await plane.start()
        self._running.append(("control plane", plane.stop))
        await self._start_nodes(plane)
        admin = plane.kubeconfig()
        for namespace in namespaces:
            await grant_environment(admin, namespace)
        deployer = self._directory / "deployer.kubeconfig"
        await deployer_kubeconfig(admin, namespaces[0], deployer, lifetime=TOKEN_LIFETIME)
        await self.start_cluster_worker(deployer)
        self.addresses = replace(
            self.addresses, admin_kubeconfig=str(admin), deployer_kubeconfig=str(deployer)
        )
        self.addresses.write(self._addresses_file)

    async def start_cluster_worker(self, kubeconfig: Path, context: str = "") -> None:
        """Start the worker of the cluster queue on any cluster."""
        credentials = {"PILOTHOUSE_KUBECONFIG": str(kubeconfig)}
        if context:
            credentials["PILOTHOUSE_CONTEXT"] = context
        await self._start_worker("worker-cluster", (names.CLUSTER_QUEUE,), credentials)

    async def start_agents_worker(self, settings: Mapping[str, str] | None = None) -> None:
        """Start the worker of the agents' queue: it alone gets model keys and MCP credentials.

        Args:
            settings: variables for it, besides those of ours.
        """
        await self._start_worker("worker-agents", (names.AGENTS_QUEUE,), settings)

    async def restart(self, name: str) -> None:
        """Start one of our own programs again after it ended, and wait until it is ready.

        Args:
            name: `git`, `bridge`, `worker`, `worker-cluster`, `worker-agents` or `nodes`.
        """
        process, ready = self._ready[name]
        await process.start()
        await process.wait_until_ready(ready, timeout_seconds=READY_SECONDS)

    def pid(self, name: str) -> int | None:
        """The process id of one of our own programs while it runs."""
        process, _ = self._ready[name]
        return process.pid if process.running else None

    async def stop(self) -> None:
        """Stop everything that was started, the last first. Idempotent."""
        while self._running:
            name, stop = self._running.pop()
            self._progress(f"stopping {name}")
            await stop()
            # Not before something was stopped: the file may be that of services that run.
            self._addresses_file.unlink(missing_ok=True)

    async def stop_detached(self) -> None:
        """Stop what an earlier process left running in the directory. Idempotent."""
        nowhere = ControlPlaneBinary(path=self._directory, version="", source="directory")
        plane = ControlPlane(nowhere, self._directory / "cluster", detached=True)
        temporal = TemporalServer(self._directory / "temporal", pid_file=self._pid_file("temporal"))
        self._running = [("temporal", temporal.stop), ("control plane", plane.stop)]
        for name in ("git", "worker", "bridge", "nodes", "worker-cluster", "worker-agents"):
            self._running.append((name, self._process(name, (), {}).stop))
        await self.stop()

    # -- one service each -------------------------------------------------------------------------

    async def _start_git_server(self, port: int, secret: Path) -> None:
        arguments = [
            *("--directory", str(self.repositories_dir), "--port", str(port)),
            *("--webhook-url", self.addresses.webhooks, "--webhook-secret-file", str(secret)),
        ]
        await self._start("git", "pilothouse.local.git_server", arguments, _listening(port))

    async def _start_bridge(self, port: int, secret: Path) -> None:
        arguments = [
            *("bridge", "--port", str(port), "--webhook-secret-file", str(secret)),
            *("--repositories", str(self._directory / "repositories.json")),
        ]
        await self._start("bridge", "pilothouse.cli.main", arguments, _listening(port))

    async def _start_nodes(self, plane: ControlPlane) -> None:
        arguments = [
            *("--kubeconfig", str(plane.kubeconfig()), "--ca", str(plane.pki.ca)),
            *("--certificate", str(plane.pki.certificate("kubelet"))),
            *("--key", str(plane.pki.key("kubelet"))),
        ]
        await self._start("nodes", "pilothouse.local.nodes", arguments, "simulated nodes are ready")

    async def _start_worker(
        self, name: str, queues: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> None:
        arguments = [part for queue in queues for part in ("--queue", queue)]
        environment = worker_environment(queues, **(settings or {}))
        await self._start(name, "worker", arguments, "serving", environment)

    async def _start(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        ready: Probe | str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start one of our own programs; it is ready by a probe, or once it wrote some words."""
        given = {
            **(worker_environment(()) if environment is None else environment),
            "TEMPORAL_ADDRESS": self.addresses.temporal,
            "PILOTHOUSE_DATA_DIR": str(self.data),
        }
        process = self._process(name, [sys.executable, "-m", module, *arguments], given)
        self._running.append((name, process.stop))
        self._ready[name] = (process, _wrote(process, ready) if isinstance(ready, str) else ready)
        await self.restart(name)

    def _process(
        self, name: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> LocalProcess:
        log = self._directory / "logs" / f"{name}.log"
        pid_file = self._pid_file(name)
        if pid_file is not None:
            return DetachedProcess(name, argv, log=log, pid_file=pid_file, env=environment)
        return ManagedProcess(name, argv, log=log, env=environment)

    def _pid_file(self, name: str) -> Path | None:
        return self._directory / f"{name}.pid" if self._detached else None

    # -- files ------------------------------------------------------------------------------------

    def _write_repositories(self) -> None:
        entries = [
            {"url": f"{self.addresses.git}/{name}.git", "full_name": f"local/{name}"}
            for name in self._repositories
        ]
        path = self._directory / "repositories.json"
        path.write_text(json.dumps({"repositories": entries}, indent=2), encoding="utf-8")


def _listening(port: int) -> Probe:
    async def probe() -> bool:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    return probe


def _wrote(process: LocalProcess, words: str) -> Probe:
    async def probe() -> bool:
        return words in process.tail()

    return probe
