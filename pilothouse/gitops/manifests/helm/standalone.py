"""A chart in a folder that nobody declared to be deployed: with its own values alone."""

from collections.abc import Mapping

from pilothouse.gitops.manifests.helm.releases import Helm, render_chart
from pilothouse.gitops.manifests.loader import Loaded
from pilothouse.gitops.manifests.values import Values
from pilothouse.models.findings import Finding

_NAMESPACE = "default"


def render_standalone(files: Mapping[str, bytes], folder: str, helm: Helm | None) -> Loaded:
    """The objects of a chart as its own `values.yaml` makes them.

    A chart may need values that only its users have, or dependencies that are fetched where it is
    packed: what keeps it from being rendered here asks for a look and blocks nothing. Without a
    helm program the chart is left out, and that is said.
    """
    loaded = render_chart(files, folder, _NAMESPACE, Values(), helm)
    return Loaded(loaded.manifests, tuple(_milder(each, folder) for each in loaded.findings))


def _milder(finding: Finding, folder: str) -> Finding:
    if finding.rule == "helm-missing":
        return Finding(
            rule="helm-chart-skipped",
            severity="info",
            file=f"{folder}/" if folder else "",
            message="a Helm chart is not rendered, so its templates are not checked: there is no "
            "helm program",
            fix="Install Helm 3 or 4, or set PILOTHOUSE_HELM.",
        )
    if finding.severity == "error" and finding.rule.startswith("helm"):
        return finding.model_copy(update={"severity": "warning"})
    return finding
