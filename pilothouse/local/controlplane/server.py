"""One Kubernetes control plane as plain processes in one directory."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from pilothouse.local.controlplane.flags import Layout, Ports, arguments
from pilothouse.local.controlplane.kubeconfig import Cluster, write_kubeconfig
from pilothouse.local.controlplane.pki import Pki, create_pki
from pilothouse.local.controlplane.probes import answers, loopback_client
from pilothouse.local.controlplane.programs import PROGRAMS, ControlPlaneBinary, Program
from pilothouse.local.controlplane.users import USERS, UserName, create_tokens
from pilothouse.local.detached import DetachedProcess
from pilothouse.local.locks import FileLock
from pilothouse.local.ports import LOOPBACK, free_ports, is_free
from pilothouse.local.processes import LocalProcess, ManagedProcess, Probe
from pilothouse.models.errors import PermanentError

START_SECONDS = 120.0
"""For each program: a busy two-core machine needs 5, a cold disk 30."""
_PORT_ATTEMPTS = 3
_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"

_log = structlog.get_logger()


@dataclass(frozen=True)
class Phase:
    """How long one part of the start took."""

    name: str
    seconds: float


class ControlPlane:
    """etcd, API server, controller manager and scheduler, on free ports of 127.0.0.1.

    Also an async context manager. RBAC and all default admission plugins are on. It has no nodes:
    Pods stay pending until something registers some (`pilothouse.local.nodes`).

    Args:
        binary: the programs, from `find_control_plane`.
        directory: state, certificates, kubeconfigs and logs. Used again, it is the same cluster:
            same objects, same tokens, and the same port if it is still free.
        detached: the programs outlive us; a later `ControlPlane(..., detached=True)` on the same
            directory stops them.
    """

    def __init__(
        self, binary: ControlPlaneBinary, directory: Path, *, detached: bool = False
    ) -> None:
        self._binary = binary
        self._layout = Layout(directory.absolute())
        self._detached = detached
        self._lock = FileLock(self._layout.lock)
        self._processes: dict[Program, LocalProcess] = {}

    @property
    def pki(self) -> Pki:
        """Certificates: `pki.ca`, `pki.certificate("kubelet")`, `pki.key("kubelet")` for nodes."""
        return self._layout.pki

    @property
    def running(self) -> bool:
        """Whether all four programs are alive."""
        return all(self._process(program).running for program in PROGRAMS)

    @property
    def pids(self) -> Mapping[Program, int]:
        """The process ids of the programs that were started."""
        found = {program: self._process(program).pid for program in PROGRAMS}
        return {program: pid for program, pid in found.items() if pid is not None}

    def kubeconfig(self, user: UserName = "admin") -> Path:
        """The kubeconfig of one user; exists after `start()`."""
        return self._layout.kubeconfig(user)

    async def start(self) -> tuple[Phase, ...]:
        """Start all programs; returns when the API is ready for a Pod, with the time of each part.

        Raises:
            PermanentError: `LocalServiceFailed`, the directory is in use, or a program ended;
                nothing is left running.
            TemporaryError: `LocalServiceFailed`, a program was not ready in time; nothing is left
                running.
        """
        self._layout.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._lock.acquire():
            raise self._in_use()
        if self._left_running():
            self._lock.release()
            raise self._in_use()
        try:
            return await self._start_with_ports()
        except BaseException:
            # Cancelled as well: nobody else knows the processes.
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all programs in the order that lets each end cleanly. Idempotent."""
        try:
            await self._stop_programs()
        finally:
            self._lock.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _start_with_ports(self) -> tuple[Phase, ...]:
        for _ in range(_PORT_ATTEMPTS - 1):
            try:
                return await self._start_programs(self._choose_ports())
            except PermanentError as error:
                if "address already in use" not in str(error):
                    raise
                # Someone was faster between our look at the port and the program's bind.
                _log.info("control plane port taken, trying others")
                await self._stop_programs()
        return await self._start_programs(self._choose_ports())

    async def _start_programs(self, ports: Ports) -> tuple[Phase, ...]:
        started = time.monotonic()
        self._prepare(ports)
        phases = [Phase("preparation", time.monotonic() - started)]
        pair = (self.pki.certificate("etcd-client"), self.pki.key("etcd-client"))
        async with loopback_client(self.pki.etcd_ca, certificate=pair) as etcd:
            probe = answers(etcd, f"https://{LOOPBACK}:{ports.etcd}/readyz")
            phases.append(await self._start_program("etcd", ports, probe))
        token = create_tokens(self._layout.tokens)["admin"]
        async with loopback_client(self.pki.ca, token=token) as api:
            server = f"https://{LOOPBACK}:{ports.api}"
            probe = answers(api, f"{server}/readyz")
            phases.append(await self._start_program("kube-apiserver", ports, probe))
            await self._new_process("kube-scheduler", ports).start()
            probe = answers(api, server + _DEFAULT_ACCOUNT)
            phases.append(await self._start_program("kube-controller-manager", ports, probe))
        _log.info("control plane ready", seconds=round(time.monotonic() - started, 2), api=server)
        return tuple(phases)

    async def _start_program(self, program: Program, ports: Ports, probe: Probe) -> Phase:
        process = self._new_process(program, ports)
        await process.start()
        seconds = await process.wait_until_ready(probe, timeout_seconds=START_SECONDS)
        return Phase(program, seconds)

    async def _stop_programs(self) -> None:
        for program in reversed(PROGRAMS):
            await self._process(program).stop()
        self._processes.clear()

    def _in_use(self) -> PermanentError:
        return PermanentError(
            "LocalServiceFailed",
            f"a control plane already runs in {self._layout.directory}; stop it first",
        )

    def _left_running(self) -> bool:
        """Whether programs run here whose starter is gone: those hold no lock."""
        return any(self._make(program, (), detached=True).running for program in PROGRAMS)

    def _prepare(self, ports: Ports) -> None:
        pki = create_pki(self.pki.directory)
        self._layout.ports.write_text(json.dumps(asdict(ports)), encoding="utf-8")
        cluster = Cluster(
            "pilothouse-local", f"https://{LOOPBACK}:{ports.api}", pki.ca.read_bytes()
        )
        tokens = create_tokens(self._layout.tokens)
        for user in USERS:
            path = self.kubeconfig(user.file)
            write_kubeconfig(path, cluster, user=user.name, token=tokens[user.file])

    def _choose_ports(self) -> Ports:
        """The ports of the last start if they are free, or new ones."""
        if self._layout.ports.exists():
            ports = Ports(**json.loads(self._layout.ports.read_text(encoding="utf-8")))
            if all(is_free(port) for port in asdict(ports).values()):
                return ports
        return Ports(*free_ports(3))

    def _new_process(self, program: Program, ports: Ports) -> LocalProcess:
        argv = (*self._binary.command(program), *arguments(program, self._layout, ports))
        process = self._make(program, argv, detached=self._detached)
        self._processes[program] = process
        return process

    def _process(self, program: Program) -> LocalProcess:
        """The program's process; one that was never started, or another's if detached."""
        return self._processes.get(program) or self._make(program, (), detached=self._detached)

    def _make(self, program: Program, argv: tuple[str, ...], *, detached: bool) -> LocalProcess:
        log = self._layout.log(program)
        # An empty environment: no proxy, no credentials of ours, the same start everywhere.
        env = {"HOME": str(self._layout.directory), "PATH": "/usr/bin:/bin"}
        if detached:
            pid_file = self._layout.pid_file(program)
            return DetachedProcess(program, argv, log=log, pid_file=pid_file, env=env)
        return ManagedProcess(program, argv, log=log, env=env)
