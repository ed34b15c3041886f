"""Every rule that loading, rendering and validation can report."""

from pilothouse.gitops.validation import exceptions, pod_security, reliability, security
from pilothouse.gitops.validation.loading_rules import LOADING_RULES
from pilothouse.gitops.validation.policy_rules import POLICY_RULES
from pilothouse.gitops.validation.rendering_rules import RENDERING_RULES
from pilothouse.gitops.validation.rule import Rule

__all__ = ["RULES", "Rule"]

RULES: tuple[Rule, ...] = (
    *LOADING_RULES,
    *RENDERING_RULES,
    Rule(
        "pipeline-file",
        "error",
        "The pipeline file is missing or wrong",
        "Without it nothing says what may happen.",
        "Correct the field that the finding names.",
    ),
    Rule(
        "health-check",
        "error",
        "An expression of a health check cannot be compiled",
        "No deployment with it could ever become healthy.",
        "Correct the expression.",
    ),
    Rule(
        "schema",
        "error",
        "An object does not fit the schema of its kind",
        "The API server would refuse it, or drop the field without a word.",
        "Correct the field that the finding names.",
        {"kube-linter": ("schema-validation", "kubeconform")},
    ),
    Rule(
        "schema-unknown",
        "info",
        "A custom kind has no schema here",
        "Its objects are not checked before a cluster sees them.",
        "Add the CRD to the manifests.",
    ),
    Rule(
        "crd-schema",
        "warning",
        "A CRD's schema cannot be used",
        "Its objects are not checked before a cluster sees them.",
        "Correct `openAPIV3Schema`.",
    ),
    Rule(
        "api-version",
        "error",
        "The cluster's version does not serve this kind",
        "It was removed, renamed, or never existed.",
        "Set the apiVersion that the finding names.",
        {"kube-linter": ("no-extensions-v1beta",), "kube-score": ("stable-version",)},
    ),
    Rule(
        "reference-configmap",
        "warning",
        "A pod names a ConfigMap that is not here",
        "The container waits in CreateContainerConfigError.",
        "Add the ConfigMap, or correct the name.",
        {"kube-linter": ("env-value-from",)},
    ),
    Rule(
        "reference-secret",
        "warning",
        "A pod names a Secret that is not here",
        "The container waits in CreateContainerConfigError.",
        "Make sure that the cluster has the Secret.",
        {"kube-linter": ("env-value-from",)},
    ),
    Rule(
        "reference-key",
        "error",
        "A pod names a key that a ConfigMap or Secret does not have",
        "The container waits in CreateContainerConfigError.",
        "Correct the key, or add it.",
    ),
    Rule(
        "reference-pvc",
        "warning",
        "A pod names a PersistentVolumeClaim that is not here",
        "The pod stays unschedulable.",
        "Add the claim, or correct the name.",
    ),
    Rule(
        "reference-serviceaccount",
        "warning",
        "A pod names a ServiceAccount that is not here",
        "No pod is created.",
        "Add the ServiceAccount, or correct the name.",
        {"kube-linter": ("non-existent-service-account",)},
    ),
    Rule(
        "reference-service",
        "warning",
        "An Ingress names a Service that is not here",
        "Its requests end in an error.",
        "Add the Service, or correct the name.",
        {"kube-linter": ("dangling-ingress",), "kube-score": ("ingress-targets-service",)},
    ),
    Rule(
        "reference-port",
        "error",
        "A Service names a port that no container has",
        "No request arrives.",
        "Correct the name, or add the port.",
    ),
    Rule(
        "reference-service-port",
        "error",
        "An Ingress names a port that its Service does not have",
        "Its requests end in an error.",
        "Name a port of the Service.",
        {"kube-linter": ("dangling-ingress",), "kube-score": ("ingress-targets-service",)},
    ),
    Rule(
        "reference-scale-target",
        "warning",
        "An autoscaler names a workload that is not here",
        "Nothing is scaled.",
        "Correct scaleTargetRef.",
        {
            "kube-linter": ("dangling-horizontalpodautoscaler",),
            "kube-score": ("horizontalpodautoscaler-has-target",),
        },
    ),
    Rule(
        "reference-role",
        "warning",
        "A binding names a role that is not here",
        "It grants nothing.",
        "Add the role, or correct the name.",
        {
            "polaris": (
                "clusterrolebindingPodExecAttach",
                "rolebindingClusterRolePodExecAttach",
                "rolebindingRolePodExecAttach",
            )
        },
    ),
    Rule(
        "reference-subject",
        "warning",
        "A binding names a ServiceAccount that is not here",
        "It grants to nobody.",
        "Add the ServiceAccount, or correct the name.",
    ),
    Rule(
        "selector-empty",
        "warning",
        "A selector selects no workload of the set",
        "A Service without pods answers nobody; a budget without pods protects nothing.",
        "Correct the selector or the labels.",
        {"kube-linter": ("dangling-service",), "kube-score": ("service-targets-pod",)},
    ),
    Rule(
        "selector-mismatch",
        "error",
        "A workload's selector does not select its own pods",
        "The API server refuses it.",
        "Give the pod template every label of the selector.",
        {
            "kube-linter": ("mismatching-selector",),
            "kube-score": (
                "deployment-pod-selector-labels-match-template-metadata-labels",
                "statefulset-pod-selector-labels-match-template-metadata-labels",
            ),
        },
    ),
    Rule(
        "volume-missing",
        "error",
        "A container mounts a volume that the pod does not have",
        "The API server refuses it.",
        "Declare the volume, or remove the mount.",
    ),
    Rule(
        "duplicate-name",
        "error",
        "Two containers or volumes of a pod have one name",
        "The API server refuses it.",
        "Give each a name of its own.",
    ),
    Rule(
        "duplicate-port-name",
        "error",
        "Two ports of a container have one name",
        "The API server refuses it.",
        "Give each a name of its own.",
        {"kube-score": ("container-ports-check",)},
    ),
    Rule(
        "helm-chart-skipped",
        "info",
        "A Helm chart is not rendered",
        "Its templates are no objects until Helm has filled them in.",
        "Install Helm 3 or 4, or set `PILOTHOUSE_HELM`.",
    ),
    Rule(
        "nothing-checked",
        "warning",
        "There is no Kubernetes object",
        "A check of nothing must not look like a pass.",
        "Name a folder of manifests.",
    ),
    *pod_security.RULES,
    *security.RULES,
    *reliability.RULES,
    *POLICY_RULES,
    *exceptions.RULES,
)
