"""Simulated nodes: the whole of them, started and stopped as one."""

import asyncio
from pathlib import Path

import structlog

from pilothouse.local.nodes.api import ClusterApi, path
from pilothouse.local.nodes.events import EventRecorder
from pilothouse.local.nodes.informer import inform
from pilothouse.local.nodes.kubelet import Kubelet
from pilothouse.local.nodes.load_balancers import INGRESS, SERVICE, LoadBalancers
from pilothouse.local.nodes.metrics import MetricsServer
from pilothouse.local.nodes.registration import Registration
from pilothouse.local.nodes.server import KubeletServer, listen, tls_context
from pilothouse.local.nodes.volumes import CLAIMS, Provisioner

_log = structlog.get_logger()

_PODS = path("api", "v1", "pods")
_ASSIGNED = {"fieldSelector": "spec.nodeName!="}


class NodeSimulator:
    """Nodes that the control plane believes in. No image is run on them; see `pods.behavior`.

    Args:
        kubeconfig: how to reach the API server, with the rights of a node and of a cloud.
        ca: the authority whose client certificates may ask the kubelet for logs.
        certificate: the kubelet's serving certificate, for 127.0.0.1.
        key: its key.
        nodes: how many; they are called `simulated-1` and so on.
    """

    def __init__(
        self, kubeconfig: Path, ca: Path, certificate: Path, key: Path, nodes: int = 2
    ) -> None:
        self._kubeconfig = kubeconfig
        self._tls_files = (ca, certificate, key)
        self._nodes = [f"simulated-{number}" for number in range(1, nodes + 1)]
        self._api: ClusterApi | None = None
        self._server: KubeletServer | None = None
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register the nodes and begin to run their pods; returns when the nodes are ready.

        Raises:
            PermanentError: `InvalidRequest` (a file) or `ClusterRefused` (a right is missing).
            TemporaryError: `ClusterUnavailable`, the API server does not answer.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        tls = tls_context(*self._tls_files)
        self._api = api = await ClusterApi.connect(self._kubeconfig)
        events = EventRecorder(api)
        kubelet = Kubelet(api, events, self._nodes)
        listeners = listen(self._nodes)
        self._server = KubeletServer(kubelet, listeners)
        await self._server.start(tls)
        ports = {node: listener.getsockname()[1] for node, listener in listeners.items()}
        registration = Registration(api, ports)
        provisioner = Provisioner(api)
        await provisioner.create_class()
        await provisioner.sweep()
        await registration.register()
        metrics = MetricsServer(api, kubelet, self._nodes, *self._tls_files[1:])
        self._work = asyncio.create_task(
            _run(api, kubelet, events, registration, provisioner, metrics), name="simulated-nodes"
        )
        self._work.add_done_callback(_say_if_broken)

    async def wait(self) -> None:
        """Return never; raise if the simulator breaks. For a process that does nothing else."""
        if self._work is not None:
            await asyncio.shield(self._work)

    async def stop(self) -> None:
        """Stop everything. The nodes stay registered, so that a restart takes them over again.

        Idempotent.
        """
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        server, self._server = self._server, None
        if server is not None:
            await server.stop()
        api, self._api = self._api, None
        if api is not None:
            await api.close()
        if work is not None and not work.cancelled() and (error := work.exception()):
            raise error


def _say_if_broken(work: asyncio.Task[None]) -> None:
    if not work.cancelled() and (error := work.exception()):
        _log.error("simulated nodes are broken", exc_info=error)


async def _run(
    api: ClusterApi,
    kubelet: Kubelet,
    events: EventRecorder,
    registration: Registration,
    provisioner: Provisioner,
    metrics: MetricsServer,
) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(inform(api, _PODS, kubelet, _ASSIGNED))
        tasks.create_task(inform(api, CLAIMS, provisioner))
        tasks.create_task(kubelet.run())
        tasks.create_task(events.run())
        tasks.create_task(registration.run())
        tasks.create_task(provisioner.run())
        tasks.create_task(metrics.run())
        for kind in (SERVICE, INGRESS):
            balancers = LoadBalancers(api, events, kind)
            tasks.create_task(inform(api, kind.collection, balancers, kind.selector))
            tasks.create_task(balancers.run())
