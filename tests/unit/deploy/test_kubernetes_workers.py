"""Which worker holds what in a Kubernetes cluster, read from the manifests themselves."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pilothouse.clients.settings import CREDENTIALS_OF, Settings
from pilothouse.models import names

ROOT = Path(__file__).parents[3]
DOCUMENTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((ROOT / "deploy/kubernetes/workers.yaml").read_text())
)
PODS: dict[str, dict[str, Any]] = {
    each["spec"]["template"]["spec"]["containers"][0]["command"][-1]: each["spec"]["template"][
        "spec"
    ]
    for each in DOCUMENTS
    if each["kind"] == "Deployment"
}


def given(queue: str) -> dict[str, dict[str, Any]]:
    """The variables of a queue's worker, by name."""
    [container] = PODS[queue]["containers"]
    assert "envFrom" not in container
    return {each["name"]: each for each in container["env"]}


def test_each_queue_has_a_worker_of_its_own() -> None:
    assert set(PODS) == set(names.TASK_QUEUES)
    for queue, pod in PODS.items():
        assert pod["containers"][0]["command"] == ["python", "-m", "worker", "--queue", queue]


def test_only_the_clusters_worker_has_an_account_and_its_token() -> None:
    assert {queue for queue, pod in PODS.items() if pod["automountServiceAccountToken"]} == {
        names.CLUSTER_QUEUE
    }
    assert {queue for queue, pod in PODS.items() if "serviceAccountName" in pod} == {
        names.CLUSTER_QUEUE
    }


@pytest.mark.parametrize("queue", names.TASK_QUEUES)
def test_a_worker_mounts_the_data_folder_and_nothing_that_opens_anything(queue: str) -> None:
    kinds = [next(key for key in volume if key != "name") for volume in PODS[queue]["volumes"]]
    assert kinds == ["persistentVolumeClaim", "emptyDir"]


@pytest.mark.parametrize("queue", names.TASK_QUEUES)
def test_a_worker_gets_variables_of_its_own_queue_only(queue: str) -> None:
    variables = given(queue)
    assert variables.pop("TEMPORAL_ADDRESS")["value"]
    fields = {name.removeprefix("PILOTHOUSE_").lower() for name in variables}
    others = set().union(*(CREDENTIALS_OF[each] for each in CREDENTIALS_OF if each != queue))
    assert fields <= set(Settings.model_fields)
    assert fields & others == set()
    assert {each["valueFrom"]["secretKeyRef"]["name"] for each in variables.values()} <= {queue}


def test_every_worker_runs_without_power() -> None:
    for pod in PODS.values():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
