"""Delivery: Flux, Argo, Knative, Keptn, Tekton, and what else builds and rolls out."""

from typing import Final

from pilothouse.gitops.health.families.family import Family

DELIVERY: Final[tuple[Family, ...]] = (
    # Static kinds have no controller, or one that never writes a status.
    Family(groups=("source.toolkit.fluxcd.io",), kinds=("HelmRepository",),
           silent_when=("spec.type=oci",)),
    Family(
        groups=("notification.toolkit.fluxcd.io",), kinds=("Provider", "Alert"), reports=False
    ),
    # A failed release is tried again: `Reconciling` stays true while `Ready` tells why it failed.
    Family(groups=("helm.toolkit.fluxcd.io",), words={"rollbacksucceeded": "Degraded"}),
    Family(groups=("*.toolkit.fluxcd.io",), words={"dependencynotready": "Progressing"}),
    Family(
        groups=("helm.fluxcd.io",),
        words={"succeeded": "Healthy", "failed": "Degraded", "rolledback": "Degraded"},
    ),
    Family(
        groups=("argoproj.io",),
        kinds=("WorkflowTemplate", "ClusterWorkflowTemplate", "AnalysisTemplate",
               "ClusterAnalysisTemplate", "AppProject", "CronWorkflow", "WorkflowTaskSet"),
        reports=False,
    ),
    Family(
        groups=("argoproj.io",),
        kinds=("Application",),
        phases=("status.health.status", "status.operationState.phase"),
        words={"running": "Progressing", "terminating": "Progressing"},
    ),
    Family(
        groups=("argoproj.io",),
        kinds=("Rollout",),
        false="Progressing",
        suspended=("status.controllerPause",),
        words={"rolloutaborted": "Degraded", "invalidspec": "Degraded"},
    ),
    Family(
        groups=("argoproj.io",),
        kinds=("Workflow",),
        meanings={"PodRunning": ("none", False), "Completed": ("none", False)},
    ),
    Family(
        groups=("promoter.argoproj.io",),
        words={"merged": "Healthy", "closed": "Healthy",
               "pending": "Progressing"},
    ),
    Family(
        groups=("kargo.akuity.io",),
        kinds=("Project", "ProjectConfig", "Freight", "PromotionTask", "ClusterPromotionTask"),
        reports=False,
    ),
    Family(
        groups=("flagger.app",),
        kinds=("Canary",),
        words={"initialized": "Healthy", "waitingpromotion": "Suspended", "waiting": "Progressing",
               "finalising": "Progressing", "promoting": "Progressing"},
    ),
    Family(groups=("flagger.app",), reports=False),
    Family(
        groups=("tekton.dev",),
        kinds=("Task", "ClusterTask", "Pipeline", "StepAction"),
        reports=False,
    ),
    Family(groups=("triggers.tekton.dev",), kinds=("*Binding", "*Template"), reports=False),
    Family(groups=("*.knative.dev",), summary=("Ready",)),
    Family(groups=("metrics.keptn.sh",), kinds=("KeptnMetric",), awaits=("status.value",)),
    Family(groups=("lifecycle.keptn.sh", "metrics.keptn.sh"), kinds=("*Definition", "*Template"),
           reports=False),
    Family(groups=("lifecycle.keptn.sh",), phases=("status.status", "status.overallStatus")),
    # Pausing is how a rollout drains a pipeline; its `phase` says only that it was deployed.
    Family(groups=("numaplane.numaproj.io", "numaflow.numaproj.io"),
           words={"deployed": "Healthy", "deleting": "Progressing"}),
    Family(groups=("rollouts.kruise.io",), kinds=("Rollout",),
           phases=("status.phase", "status.canaryStatus.currentStepState",
                   "status.blueGreenStatus.currentStepState"),
           words={"stepready": "Progressing", "steptrafficrouting": "Progressing",
                  "stepupgrade": "Progressing", "stepmetricsanalysis": "Progressing",
                  "healthy": "Healthy", "progressing": "Progressing", "terminating": "Progressing",
                  "disabled": "Suspended", "steppaused": "Suspended", "paused": "Suspended",
                  "cancelling": "Degraded", "inrolling": "Progressing"}),
    Family(groups=("apps.kruise.io",),
           suspended=("spec.updateStrategy.paused", "spec.updateStrategy.rollingUpdate.paused")),
    Family(groups=("helm.cattle.io", "k3s.cattle.io"), kinds=("HelmChartConfig", "Addon"),
           reports=False),
    Family(groups=("fleet.cattle.io",),
           phases=("status.display.state", "status.summary.nonReadyResources.*.bundleState"),
           words={"modified": "Degraded", "outofsync": "Progressing", "waitapplied": "Progressing",
                  "errapplied": "Degraded", "notready": "Progressing"}),
    Family(groups=("infra.contrib.fluxcd.io", "infra.weave.works"), summary=("Ready",)),
    Family(groups=("tower.ansible.com",), kinds=("AnsibleJob",),
           phases=("status.ansibleJobResult.status",)),
    Family(groups=("build.openshift.io",), kinds=("BuildConfig",), reports=False),
    Family(groups=("image.openshift.io", "template.openshift.io"), reports=False),
    Family(groups=("app.terraform.io",), words={"appliedsuccessfully": "Healthy",
           "plannedandfinished": "Healthy", "policychecked": "Progressing"}),
)  # fmt: skip
