"""Real services for integration tests: started once, a fresh namespace for each test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from kubernetes.aio import client, config

from pilothouse.clients.cluster import ClusterClient
from pilothouse.clients.settings import read_settings
from pilothouse.local.controlplane import ControlPlane, find_control_plane
from pilothouse.local.controlplane.access import deployer_kubeconfig, grant_environment
from pilothouse.local.nodes import NodeSimulator

ACCOUNT_SECONDS = 20.0
"""For the controller manager to make a namespace's default ServiceAccount on a busy machine."""


@pytest.fixture(scope="session")
async def control_plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    """An empty Kubernetes with two simulated nodes, for the whole session."""
    settings = read_settings()
    binary = await find_control_plane(
        directory=settings.control_plane_dir, cache=settings.cache_dir, progress=print
    )
    async with ControlPlane(binary, tmp_path_factory.mktemp("control-plane")) as cluster:
        nodes = NodeSimulator(
            kubeconfig=cluster.kubeconfig("node-simulator"),
            ca=cluster.pki.ca,
            certificate=cluster.pki.certificate("kubelet"),
            key=cluster.pki.key("kubelet"),
            nodes=2,
        )
        await nodes.start()
        try:
            yield cluster
        finally:
            await nodes.stop()


@pytest.fixture(scope="session")
def admin_kubeconfig(control_plane: ControlPlane) -> Path:
    """A kubeconfig that may do everything; for arranging a test, not for the code under test."""
    return control_plane.kubeconfig("admin")


@pytest.fixture(scope="session")
async def admin(admin_kubeconfig: Path) -> AsyncIterator[client.ApiClient]:
    """A client that may do everything; for arranging a test, not for the code under test."""
    async with await config.new_client_from_config(str(admin_kubeconfig)) as api:
        yield api


@pytest.fixture
async def namespace(admin: client.ApiClient) -> AsyncIterator[str]:
    """A namespace of the test's own, ready for Pods; deleted afterwards without waiting."""
    core = client.CoreV1Api(admin)
    name = f"test-{uuid4().hex[:12]}"
    await core.create_namespace({"metadata": {"name": name}})
    try:
        async with asyncio.timeout(ACCOUNT_SECONDS):
            await _default_account(core, name)
        yield name
    finally:
        await core.delete_namespace(name)


@pytest.fixture
async def cluster(admin_kubeconfig: Path) -> AsyncIterator[ClusterClient]:
    async with await ClusterClient.connect(admin_kubeconfig) as connected:
        yield connected


@pytest.fixture
async def deployer(
    admin_kubeconfig: Path, namespace: str, tmp_path: Path
) -> AsyncIterator[ClusterClient]:
    """As the rights that we ship allow, and no more."""
    await grant_environment(admin_kubeconfig, namespace)
    kubeconfig = await deployer_kubeconfig(admin_kubeconfig, namespace, tmp_path / "kubeconfig")
    async with await ClusterClient.connect(kubeconfig) as connected:
        yield connected


async def _default_account(core: client.CoreV1Api, namespace: str) -> None:
    """Wait for the account without which the API server admits no Pod."""
    while True:
        try:
            await core.read_namespaced_service_account("default", namespace)
        except client.ApiException as error:
            if error.status != 404:
                raise
            await asyncio.sleep(0.02)
        else:
            return
