"""Node objects and their leases: what makes the control plane believe in a node."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import structlog

from pilothouse.local.nodes.api import STRATEGIC_MERGE, ClusterApi, RefusedError, path
from pilothouse.local.nodes.clock import clock
from pilothouse.local.nodes.kubelet import HOST_IP
from pilothouse.local.nodes.pods.documents import Document, precise_timestamp, timestamp
from pilothouse.models.errors import PermanentError, TemporaryError

_log = structlog.get_logger()

LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
KUBELET_VERSION = "v1.36.3-simulated"
SIMULATED = "pilothouse.dev/simulated"
CAPACITY = {
    "cpu": "32",
    "memory": "128Gi",
    "ephemeral-storage": "256Gi",
    "pods": "500",
}
"""Of each node. Numbers for the scheduler; nothing stands behind them."""

_NODES = path("api", "v1", "nodes")
_LEASES = path("apis", "coordination.k8s.io", "v1", "namespaces", "kube-node-lease", "leases")
_NOT_READY = "node.kubernetes.io/not-ready"
_PRESSURES = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "simulated node: memory is never short"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "simulated node: there is no disk"),
    "PIDPressure": ("KubeletHasSufficientPID", "simulated node: there are no processes"),
}


class Registration:
    """Registers nodes and keeps them alive."""

    def __init__(self, api: ClusterApi, ports: Mapping[str, int]) -> None:
        """Prepare.

        Args:
            api: the connection.
            ports: kubelet port by node name.
        """
        self._api = api
        self._ports = dict(ports)
        self._started_at = clock()

    async def register(self) -> None:
        """Create every node and lease, or take over those that exist. Idempotent.

        Raises:
            TemporaryError: `ClusterUnavailable`.
            PermanentError: `ClusterRefused`.
        """
        for name in self._ports:
            await self._register(name)

    async def run(self) -> None:
        """Renew every lease until cancelled; puts a deleted node back."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for name in self._ports:
                try:
                    await self._renew(name)
                except (TemporaryError, PermanentError) as error:
                    _log.warning("node lease not renewed", node=name, error=str(error))

    async def _renew(self, name: str) -> None:
        change = {"spec": {"renewTime": precise_timestamp(clock())}}
        try:
            await self._api.patch(f"{_LEASES}/{name}", change)
            await self._report(name)
        except RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            await self._register(name)

    async def _register(self, name: str) -> None:
        try:
            node = await self._api.create(_NODES, _node(name))
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            node = await self._api.patch(f"{_NODES}/{name}", _node(name))
        try:
            await self._api.create(_LEASES, _lease(name, node["metadata"]["uid"], clock()))
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            lease = _lease(name, node["metadata"]["uid"], clock())
            await self._api.patch(f"{_LEASES}/{name}", lease)
        await self._admit_pods(await self._report(name))
        _log.info("simulated node registered", node=name, port=self._ports[name])

    async def _report(self, name: str) -> Document:
        status = _status(name, self._ports[name], self._started_at, clock())
        where = f"{_NODES}/{name}/status"
        return await self._api.patch(where, {"status": status}, STRATEGIC_MERGE)

    async def _admit_pods(self, node: Document) -> None:
        """Take off the taint that a node is born with, so that `register` ends with it usable.

        The controller manager would, in its own time; a first rollout would crowd on one node.
        """
        taints = node["spec"].get("taints") or []
        others = [taint for taint in taints if taint["key"] != _NOT_READY]
        if len(others) == len(taints):
            return
        metadata = node["metadata"]
        change: Document = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "spec": {"taints": others},
        }
        try:
            await self._api.patch(f"{_NODES}/{metadata['name']}", change)
        except RefusedError as error:
            # The node was changed meanwhile; whoever did, the controller manager sees to the rest.
            if error.status != HTTPStatus.CONFLICT:
                raise


def _node(name: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                SIMULATED: "true",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
            "annotations": {
                f"{SIMULATED}-node": "Simulated: pods on this node run no image and serve nothing."
            },
        },
    }


def _lease(name: str, uid: str, now: float) -> Document:
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": precise_timestamp(now),
            "renewTime": precise_timestamp(now),
        },
    }


def _status(name: str, port: int, since: float, now: float) -> Document:
    def condition(type: str, status: str, reason: str, message: str) -> Document:
        return {
            "type": type,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": timestamp(now),
            "lastTransitionTime": timestamp(since),
        }

    conditions = [condition(type, "False", *why) for type, why in _PRESSURES.items()]
    conditions.append(
        condition("Ready", "True", "KubeletReady", "simulated node: it is always ready")
    )
    return {
        "capacity": CAPACITY,
        "allocatable": CAPACITY,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": HOST_IP},
            {"type": "Hostname", "address": name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {
            "machineID": name,
            "systemUUID": name,
            "bootID": name,
            "kernelVersion": "simulated",
            "osImage": "simulated",
            "operatingSystem": "linux",
            "architecture": "amd64",
            "containerRuntimeVersion": "simulated://0",
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
        },
    }
