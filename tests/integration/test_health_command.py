"""Health of one object of a real cluster, by kind and name."""

from pathlib import Path

import pytest
from kubernetes.aio import client

from pilothouse.clients.cluster.watching.single import health_of
from pilothouse.models.errors import PermanentError
from pilothouse.models.pipeline import HealthCheck


async def test_an_object_is_found_by_its_kind_and_name(
    admin: client.ApiClient, admin_kubeconfig: Path, namespace: str
) -> None:
    await client.CoreV1Api(admin).create_namespaced_config_map(
        namespace, {"metadata": {"name": "it"}, "data": {"ready": "no"}}
    )
    found = await health_of("ConfigMap", "it", namespace=namespace, kubeconfig=admin_kubeconfig)
    assert (found.status, found.object.namespace) == ("Healthy", namespace)
    for wanted, expected in (("no", "Healthy"), ("yes", "Progressing")):
        current = f"data.ready == '{wanted}'"
        check = HealthCheck(api_version="v1", kind="ConfigMap", current=current)
        checked = await health_of(
            "ConfigMap", "it", namespace=namespace, kubeconfig=admin_kubeconfig, checks=[check]
        )
        assert checked.status == expected


async def test_an_object_that_is_not_there_is_missing(
    admin_kubeconfig: Path, namespace: str
) -> None:
    found = await health_of("Deployment", "it", namespace=namespace, kubeconfig=admin_kubeconfig)
    assert found.status == "Missing"


async def test_a_kind_outside_the_core_is_found_with_and_without_its_group(
    admin_kubeconfig: Path,
) -> None:
    for kind in ("CustomResourceDefinition", "StorageClass.storage.k8s.io"):
        found = await health_of(kind, "none", namespace="default", kubeconfig=admin_kubeconfig)
        assert found.status == "Missing"
        assert found.object.namespace == ""


async def test_a_kind_that_the_cluster_has_not_is_wrong_use(admin_kubeconfig: Path) -> None:
    with pytest.raises(PermanentError, match="no kind 'deployments'") as caught:
        await health_of("deployments", "it", namespace="default", kubeconfig=admin_kubeconfig)
    assert caught.value.type == "InvalidRequest"
