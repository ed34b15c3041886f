"""Resources of clouds and clusters: Crossplane, Config Connector, ACK, Cluster API and the like."""

from typing import Final

from pilothouse.gitops.health.families.family import Family

CLOUD: Final[tuple[Family, ...]] = (
    Family(
        groups=("apiextensions.crossplane.io",),
        kinds=("Composition", "CompositionRevision", "EnvironmentConfig", "Usage"),
        reports=False,
    ),
    Family(
        groups=("*.crossplane.io", "*.upbound.io"),
        kinds=("ProviderConfig", "ClusterProviderConfig", "StoreConfig", "ProviderConfigUsage",
               "DeploymentRuntimeConfig", "ControllerConfig", "ImageConfig", "Lock"),
        reports=False,
    ),
    Family(
        groups=("pkg.crossplane.io",),
        words={"activepackagerevision": "Healthy", "inactivepackagerevision": "Healthy",
               "unhealthypackagerevision": "Degraded", "unpackingpackage": "Progressing"},
    ),
    # `Synced` tells whether the last call worked, `Ready` whether the resource is there.
    Family(
        groups=("*.crossplane.io", "*.upbound.io"),
        summary=("Ready",),
        meanings={"LastAsyncOperation": ("summary", False), "AsyncOperation": ("none", False)},
        words={"reconcileerror": "Degraded", "reconcilepaused": "Suspended",
               "unavailable": "Progressing", "creating": "Progressing",
               "deleting": "Progressing"},
        false="Progressing",
    ),
    Family(
        groups=("*.cnrm.cloud.google.com",),
        summary=("Ready",),
        words={"dependencynotfound": "Degraded", "dependencyinvalid": "Degraded",
               "dependencynotready": "Progressing", "unmanaged": "Degraded",
               "uptodate": "Healthy", "updating": "Progressing"},
    ),
    # ACK: `ACK.Terminal` and `ACK.Recoverable` are bad when true; `ACK.Advisory` is a note.
    Family(
        groups=("*.services.k8s.aws",),
        meanings={"ACK.ResourceSynced": ("summary", False), "ACK.Terminal": ("failure", False),
                  "ACK.Recoverable": ("failure", False), "ACK.Advisory": ("none", False),
                  "ACK.LateInitialized": ("none", False), "Ready": ("summary", False),
                  "ACK.ReferencesResolved": ("part", False), "ACK.Adopted": ("none", False)},
        false="Progressing",
        phases=("status.phase",),
    ),
    Family(
        groups=("karpenter.sh", "karpenter.k8s.aws", "karpenter.azure.com"),
        summary=("Ready",),
        words={"notready": "Degraded"},
    ),
    Family(groups=("*.azure.com",), summary=("Ready",), false="Progressing"),
    Family(
        groups=("cluster.x-k8s.io",),
        kinds=("ClusterClass",),
        meanings={"VariablesReconciled": ("summary", False)},
    ),
    # A condition that is false carries how bad that is in its severity.
    Family(
        groups=("*.cluster.x-k8s.io", "cluster.x-k8s.io"),
        false="Progressing",
        meanings={"Remediating": ("activity", False), "TopologyReconciled": ("part", False),
                  "Deleting": ("activity", False), "Paused": ("pause", False)},
        words={"provisioned": "Healthy", "scalingup": "Progressing", "scalingdown": "Progressing",
               "running": "Healthy", "deletionfailed": "Degraded"},
    ),
    Family(
        groups=("metal3.io",),
        kinds=("BareMetalHost",),
        phases=("status.operationalStatus", "status.provisioning.state"),
        words={"ok": "Healthy", "discovered": "Progressing", "error": "Degraded",
               "delayed": "Progressing", "detached": "Suspended", "available": "Healthy",
               "ready": "Healthy", "provisioned": "Healthy", "externallyprovisioned": "Healthy",
               "unmanaged": "Healthy", "matchprofile": "Progressing", "none": "Progressing"},
    ),
    Family(
        groups=("*.open-cluster-management.io",),
        phases=("status.compliant", "status.phase"),
        words={"compliant": "Healthy", "noncompliant": "Degraded", "pending": "Progressing",
               "propagated": "Healthy", "subscribed": "Healthy"},
    ),
    Family(
        groups=("kamaji.clastix.io",),
        kinds=("TenantControlPlane",),
        phases=("status.kubernetesResources.version.status",),
    ),
    Family(groups=("policy.karmada.io", "config.karmada.io"), reports=False),
    # `Unknown` is what it reports of kinds whose health it cannot read.
    Family(
        groups=("work.karmada.io",),
        kinds=("ResourceBinding", "ClusterResourceBinding"),
        awaits=("status.aggregatedStatus",),
        phases=("status.aggregatedStatus.*.applied", "status.aggregatedStatus.*.health"),
        words={"true": "Healthy", "false": "Degraded", "unknown": "Healthy",
               "bindingfailedscheduling": "Progressing", "fullyappliedfailed": "Progressing"},
    ),
    Family(
        groups=("config.projectsveltos.io",),
        phases=("status.clusterSummaries.*.status", "status.featureSummaries.*.status"),
        words={"provisioned": "Healthy", "failednonretriable": "Degraded"},
    ),
    Family(
        groups=("configsync.gke.io",),
        kinds=("RootSync", "RepoSync"),
        meanings={"Syncing": ("activity", False)},
    ),
    Family(
        groups=("operator.openshift.io",), kinds=("IngressController",), summary=("Available",)
    ),
    Family(
        groups=("config.openshift.io",),
        kinds=("Infrastructure", "Network", "Ingress", "Image", "Proxy", "OAuth", "DNS", "Build",
               "Scheduler", "FeatureGate", "APIServer", "Authentication", "Console", "Project"),
        reports=False,
    ),
    # A cluster operator is Available and not Degraded; Progressing while it rolls out.
    Family(
        groups=("config.openshift.io", "operator.openshift.io"),
        meanings={"Upgradeable": ("none", False), "EvaluationConditionsDetected": ("none", False),
                  "RecentBackup": ("none", False), "Failing": ("failure", False),
                  "RetrievedUpdates": ("none", False), "Progressing": ("activity", False)},
    ),
    Family(
        groups=("ocs.openshift.io", "odf.openshift.io"),
        meanings={"Upgradeable": ("none", False), "ReconcileComplete": ("summary", False),
                  "VersionMismatch": ("failure", False)},
    ),
    Family(
        groups=("machineconfiguration.openshift.io",),
        kinds=("MachineConfigPool",),
        meanings={"Updated": ("summary", False), "Updating": ("activity", False),
                  "NodeDegraded": ("failure", False), "RenderDegraded": ("failure", False),
                  "PinnedImageSetsDegraded": ("failure", False)},
        suspended=("spec.paused",),
    ),
    Family(groups=("machineconfiguration.openshift.io",), reports=False),
    Family(groups=("security.openshift.io", "project.openshift.io", "console.openshift.io"),
           reports=False),
    Family(
        groups=("route.openshift.io",),
        kinds=("Route",),
        conditions=("status.ingress.*.conditions",),
        awaits=("status.ingress.*",),
        false="Degraded",
    ),
    # OLM: true conditions of a Subscription are bad news; its state says the rest.
    Family(
        groups=("operators.coreos.com",),
        kinds=("Subscription",),
        meanings={"CatalogSourcesUnhealthy": ("failure", False),
                  "InstallPlanMissing": ("none", False), "BundleUnpacking": ("activity", False),
                  "InstallPlanPending": ("activity", False),
                  "BundleUnpackFailed": ("failure", False),
                  "ResolutionFailed": ("failure", False)},
        awaits=("status.state",),
        words={"atlatestknown": "Healthy", "upgradeavailable": "Healthy",
               "upgradepending": "Progressing", "requiresapproval": "Progressing"},
    ),
    Family(
        groups=("operators.coreos.com",),
        kinds=("ClusterServiceVersion",),
        phases=("status.phase",),
        words={"installready": "Progressing", "none": "Progressing", "replacing": "Progressing"},
    ),
    Family(groups=("operators.coreos.com",), kinds=("OperatorGroup", "OLMConfig"),
           reports=False),
    Family(groups=("operators.coreos.com",), kinds=("CatalogSource",),
           phases=("status.connectionState.lastObservedState",),
           words={"ready": "Healthy", "connecting": "Progressing", "idle": "Progressing",
                  "transientfailure": "Degraded"}),
)  # fmt: skip
