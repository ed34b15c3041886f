"""Families whose documentation says more than the conventions: one object for each entry's point.

A condition is written `Type=Status Reason`, several of them with `;` between.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.gitops.health import assess
from pilothouse.gitops.health.families import FAMILIES, Family, family_of


def conditions(line: str) -> list[dict[str, Any]]:
    found = []
    for one in line.split(";"):
        kind, _, rest = one.strip().partition("=")
        status, _, reason = rest.partition(" ")
        found.append({"type": kind, "status": status, "reason": reason})
    return found


def judged(where: str, status: Any, spec: Any = None) -> str:
    group, kind = where.split("/")
    if isinstance(status, str):
        status = {"conditions": conditions(status)}
    live = {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": "it", "generation": 1},
        "spec": spec or {},
        "status": status,
    }
    return assess(live).status


DELIVERY: list[tuple[str, Any, str]] = [
    ("argoproj.io/CronWorkflow", {}, "Healthy"),
    ("argoproj.io/Workflow", {"phase": "Running"}, "Progressing"),
    ("argoproj.io/AnalysisRun", {"phase": "Inconclusive"}, "Unknown"),
    ("argoproj.io/Rollout", "Available=False AvailableReason", "Progressing"),
    ("argoproj.io/Application", {"health": {"status": "Degraded"}}, "Degraded"),
    ("flagger.app/Canary", {"phase": "Finalising"}, "Progressing"),
    ("flagger.app/Canary", {"phase": "WaitingPromotion"}, "Suspended"),
    ("flagger.app/MetricTemplate", {}, "Healthy"),
    ("helm.toolkit.fluxcd.io/HelmRelease",
     "Reconciling=True ProgressingWithRetry; Ready=False RollbackSucceeded", "Degraded"),
    ("notification.toolkit.fluxcd.io/Provider", {}, "Healthy"),
    ("notification.toolkit.fluxcd.io/Receiver", {}, "Progressing"),
    ("serving.knative.dev/Service", "ConfigurationsReady=True", "Progressing"),
    ("tekton.dev/PipelineRun", "Succeeded=Unknown Running", "Progressing"),
    ("tekton.dev/Pipeline", {}, "Healthy"),
    ("fleet.cattle.io/Bundle", {"display": {"state": "ErrApplied"}}, "Degraded"),
]  # fmt: skip
CLOUD: list[tuple[str, Any, str]] = [
    ("apiextensions.crossplane.io/Composition", {}, "Healthy"),
    ("s3.aws.upbound.io/Bucket", "Synced=True ReconcileSuccess", "Progressing"),
    ("s3.aws.upbound.io/Bucket", "Synced=False ReconcileError; Ready=True", "Degraded"),
    ("s3.aws.upbound.io/Bucket", "Synced=True; Ready=True; LastAsyncOperation=False ApplyFailure",
     "Degraded"),
    ("s3.aws.upbound.io/Bucket", "Synced=False ReconcilePaused; Ready=True", "Suspended"),
    ("aws.upbound.io/ProviderConfig", {"users": 3}, "Healthy"),
    ("pubsub.cnrm.cloud.google.com/PubSubTopic", "Ready=False DependencyNotReady", "Progressing"),
    ("s3.services.k8s.aws/Bucket", "ACK.ResourceSynced=True; ACK.Advisory=True", "Healthy"),
    ("s3.services.k8s.aws/Bucket", "ACK.ResourceSynced=True; ACK.Terminal=True", "Degraded"),
    ("cluster.x-k8s.io/Machine", {"phase": "Failed"}, "Degraded"),
    ("karpenter.sh/NodePool", "Ready=False NotReady", "Degraded"),
    ("metal3.io/BareMetalHost",
     {"operationalStatus": "OK", "provisioning": {"state": "provisioning"}}, "Progressing"),
    ("policy.open-cluster-management.io/Policy", {"compliant": "NonCompliant"}, "Degraded"),
    ("work.karmada.io/ResourceBinding", "Scheduled=True", "Progressing"),
    ("work.karmada.io/ResourceBinding",
     {"aggregatedStatus": [{"applied": True, "health": "Unknown"}]}, "Healthy"),
    ("work.karmada.io/ResourceBinding",
     {"aggregatedStatus": [{"applied": True, "health": "Unhealthy"}]}, "Degraded"),
    ("machineconfiguration.openshift.io/MachineConfigPool",
     "Updated=False; Updating=True; Degraded=False", "Progressing"),
    ("operator.openshift.io/IngressController",
     "Available=True; Progressing=False; Degraded=False; Upgradeable=False", "Healthy"),
    ("route.openshift.io/Route", {"ingress": [{"conditions": conditions("Admitted=False")}]},
     "Degraded"),
    ("operators.coreos.com/Subscription", "CatalogSourcesUnhealthy=False", "Progressing"),
]  # fmt: skip
NETWORK: list[tuple[str, Any, str]] = [
    ("gateway.networking.k8s.io/HTTPRoute", {"parents": []}, "Progressing"),
    ("gateway.networking.k8s.io/Gateway",
     "Accepted=True; Programmed=False AddressNotAssigned", "Progressing"),
    ("gateway.solo.io/VirtualService", {"statuses": {"gloo-system": {"state": "Warning"}}},
     "Degraded"),
    ("gloo.solo.io/Upstream", {"state": 1}, "Healthy"),
    ("networking.istio.io/VirtualService", {}, "Healthy"),
    ("projectcontour.io/HTTPProxy", {"currentStatus": "orphaned"}, "Degraded"),
    ("cert-manager.io/Certificate", "Ready=False DoesNotExist; Issuing=True", "Progressing"),
    ("acme.cert-manager.io/Order", {"state": "ready"}, "Progressing"),
    ("external-secrets.io/ExternalSecret", "Ready=False SecretSyncedError", "Degraded"),
    ("secrets.hashicorp.com/VaultStaticSecret", {"secretMAC": ""}, "Progressing"),
    ("secrets.hashicorp.com/VaultStaticSecret", {"secretMAC": "x"}, "Healthy"),
    ("secrets.hashicorp.com/VaultAuth", {"valid": False}, "Degraded"),
    ("templates.gatekeeper.sh/ConstraintTemplate",
     {"created": True, "byPod": [{"errors": [{"message": "rego"}]}]}, "Degraded"),
    ("templates.gatekeeper.sh/ConstraintTemplate", {"created": True, "byPod": [{}]}, "Healthy"),
    ("monitoring.coreos.com/Prometheus", "Available=Degraded SomePodsNotReady", "Degraded"),
    ("operator.victoriametrics.com/VMCluster", {"updateStatus": "expanding"}, "Progressing"),
    ("networking.gke.io/ManagedCertificate",
     {"certificateStatus": "Provisioning", "domainStatus": [{"status": "FailedCaaChecking"}]},
     "Degraded"),
]  # fmt: skip
DATA: list[tuple[str, Any, str]] = [
    ("acid.zalan.do/postgresql", {"PostgresClusterStatus": "SyncFailed"}, "Degraded"),
    ("postgresql.cnpg.io/Cluster", {"phase": "Failing over"}, "Progressing"),
    ("postgresql.cnpg.io/Cluster", "Ready=True; ContinuousArchiving=False ArchivingFailing",
     "Healthy"),
    ("postgresql.cnpg.io/Cluster", "Ready=True; cnpg.io/hibernation=True", "Suspended"),
    ("psmdb.percona.com/PerconaServerMongoDB", {"state": "ready", "size": 3, "ready": 2},
     "Progressing"),
    ("elasticsearch.k8s.elastic.co/Elasticsearch", {"health": "yellow", "phase": "Ready"},
     "Progressing"),
    ("rabbitmq.com/RabbitmqCluster", "ReconcileSuccess=True", "Progressing"),
    ("rabbitmq.com/RabbitmqCluster",
     "AllReplicasReady=True; ClusterAvailable=True; ReconcileSuccess=True; NoWarnings=False",
     "Healthy"),
    ("kafka.strimzi.io/Kafka", "NotReady=True Creating", "Progressing"),
    ("kafka.strimzi.io/Kafka", "Ready=True; Warning=True DeprecatedFields", "Healthy"),
    ("platform.confluent.io/Connector", {"state": "CREATED", "connectorState": "FAILED"},
     "Degraded"),
    ("ceph.rook.io/CephCluster", {"state": "Created", "ceph": {"health": "HEALTH_ERR"}},
     "Degraded"),
    ("snapshot.storage.k8s.io/VolumeSnapshot", {"readyToUse": False}, "Progressing"),
    ("snapshot.storage.k8s.io/VolumeSnapshotClass", {}, "Healthy"),
    ("velero.io/Backup", {"phase": "PartiallyFailed"}, "Degraded"),
    ("longhorn.io/Volume", {"state": "attached", "robustness": "faulted"}, "Degraded"),
]  # fmt: skip
COMPUTING: list[tuple[str, Any, str]] = [
    ("kubevirt.io/VirtualMachine",
     {"printableStatus": "Stopped", "conditions": conditions("Ready=False VMINotExists")},
     "Suspended"),
    ("cdi.kubevirt.io/DataVolume",
     {"phase": "Succeeded", "conditions": conditions("Running=False Completed")}, "Healthy"),
    ("sparkoperator.k8s.io/SparkApplication", {"applicationState": {"state": "SUBMITTED"}},
     "Progressing"),
    ("flink.apache.org/FlinkDeployment",
     {"jobManagerDeploymentStatus": "READY", "reconciliationStatus": {"state": "ROLLED_BACK"}},
     "Degraded"),
    ("ray.io/RayJob", {"jobDeploymentStatus": "Running"}, "Progressing"),
    ("kueue.x-k8s.io/Workload", "Admitted=True", "Progressing"),
    ("kubeflow.org/PyTorchJob", "Created=True; Running=True", "Progressing"),
    ("kubeflow.org/PyTorchJob", "Created=True; Running=False; Succeeded=True", "Healthy"),
    ("serving.kserve.io/InferenceService",
     {"conditions": conditions("Ready=False PredictorNotReady"),
      "modelStatus": {"transitionStatus": "BlockedByFailedLoad"}}, "Degraded"),
    ("keda.sh/ScaledObject", "Ready=True; Active=False; Fallback=False", "Healthy"),
    ("keda.sh/ScaledObject", "Ready=True; Fallback=True", "Degraded"),
    ("keda.sh/TriggerAuthentication", {}, "Healthy"),
    ("k8s.keycloak.org/KeycloakRealmImport", "Done=False; Started=True; HasErrors=False",
     "Progressing"),
    ("keycloak.org/Keycloak", {"phase": "reconciling", "ready": True}, "Healthy"),
    ("awx.ansible.com/AWX", "Running=True Running; Failure=False", "Progressing"),
    ("awx.ansible.com/AWX", "Running=True Successful; Successful=True", "Healthy"),
]  # fmt: skip


CASES = [*DELIVERY, *CLOUD, *NETWORK, *DATA, *COMPUTING]


@pytest.mark.parametrize(("where", "status", "expected"), CASES)
def test_a_family_is_judged_as_its_documentation_says(
    where: str, status: Any, expected: str
) -> None:
    assert judged(where, status) == expected


@pytest.mark.parametrize(
    ("where", "spec", "expected"),
    [
        ("source.toolkit.fluxcd.io/HelmRepository", {"type": "oci"}, "Healthy"),
        ("source.toolkit.fluxcd.io/HelmRepository", {"type": "default"}, "Progressing"),
        ("flink.apache.org/FlinkDeployment", {"job": {"state": "suspended"}}, "Suspended"),
        ("postgres-operator.crunchydata.com/PostgresCluster", {"shutdown": True}, "Suspended"),
        ("apps.kruise.io/CloneSet", {"updateStrategy": {"paused": True}}, "Suspended"),
    ],
)
def test_some_families_are_told_apart_by_their_spec(where: str, spec: Any, expected: str) -> None:
    assert judged(where, {}, spec) == expected


def test_nodes_that_are_wanted_are_counted() -> None:
    spec = {"nodeSets": [{"count": 3}, {"count": 2}]}
    status = {"health": "green", "phase": "Ready", "availableNodes": 3}
    where = "elasticsearch.k8s.elastic.co/Elasticsearch"
    assert judged(where, status, spec) == "Progressing"
    assert judged(where, status | {"availableNodes": 5}, spec) == "Healthy"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: f"{one.groups[0]}:{one.kinds}")
def test_no_entry_stands_in_the_shadow_of_an_earlier_one(family: Family) -> None:
    for pattern in family.groups:
        group = pattern.replace("*", "any")
        kinds = [kind.replace("*", "Any") for kind in family.kinds] or ["AnythingElse"]
        assert any(family_of(group, kind) is family for kind in kinds), group


def test_no_good_reason_makes_a_broken_promise_good() -> None:
    assert judged("platform.confluent.io/Kafka", "Ready=False Created") == "Degraded"
    assert judged("platform.confluent.io/Kafka", "Failed=True Created") == "Degraded"


def test_the_first_entry_of_a_group_counts() -> None:
    static = family_of("notification.toolkit.fluxcd.io", "Provider")
    others = family_of("notification.toolkit.fluxcd.io", "Receiver")
    assert not static.reports
    assert others.reports


KEYS = (
    "conditions", "type", "status", "reason", "message", "phase", "state", "health", "errors",
    "parents", "listeners", "byPod", "observedGeneration", "replicas", "readyReplicas", "instances",
    "ingress", "nodeSets", "count", "aggregatedStatus", "statuses", "ready", "error", "suspend",
)  # fmt: skip
WORDS = ("True", "False", "Ready", "Failed", "Running", "NotReady", "Paused", "")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)


@given(st.sampled_from([where for where, _, _ in CASES]), JSON, JSON)
def test_no_family_breaks_on_an_odd_status(where: str, status: Any, spec: Any) -> None:
    group, kind = where.split("/")
    live = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec, "status": status}
    assert assess(live).object.kind == kind
