"""The rules of Helm charts and of images."""

from pilothouse.gitops.validation.rule import Rule

RENDERING_RULES: tuple[Rule, ...] = (
    Rule(
        "helm",
        "error",
        "Helm cannot render the chart",
        "Nothing of it can be applied.",
        "Correct the template or the value that the finding names.",
    ),
    Rule(
        "helm-missing",
        "error",
        "There is no helm program",
        "The manifests are a chart, and only Helm can fill in its templates.",
        "Install Helm 3 or 4 beside the worker and the command, or set `PILOTHOUSE_HELM`.",
    ),
    Rule(
        "helm-dependency-missing",
        "error",
        "A chart depends on one that is not in the repository",
        "It would have to be fetched, and could change without a commit.",
        "Run `helm dependency update`, and commit `charts/`.",
    ),
    Rule(
        "helm-archive",
        "error",
        "A packed chart below `charts/` cannot be taken",
        "It is damaged, too large, or holds links or paths that lead out of it.",
        "Pack it again, or commit it as a folder.",
    ),
    Rule(
        "helm-remote",
        "error",
        "A schema of values refers to another file or address",
        "Helm would read files of the machine that renders, or reach into its network.",
        "Copy what it refers to into the schema.",
    ),
    Rule(
        "helm-not-deterministic",
        "error",
        "A chart renders differently each time",
        "What is approved would not be what is applied, and each run would change passwords.",
        "Give the value that the template makes up in `configs/`.",
    ),
    Rule(
        "helm-hook",
        "warning",
        "A Helm hook is not applied",
        "There is no Helm release whose moments it could wait for. For hooks of deletes and "
        "rollbacks it is only said.",
        "Make it an ordinary object, or do its work in another way.",
    ),
    Rule(
        "file-left-out",
        "error",
        "A link, submodule or oversized file stands among the manifests",
        "It is not followed, so what it stands for would be missing, and pruned.",
        "Commit what it stands for as a file, or move it elsewhere.",
    ),
    Rule(
        "image-unresolved",
        "error",
        "An image tag has no digest",
        "The environment deploys digests only, and the registry does not give one.",
        "Correct the image, push it, or give the registry's credentials.",
    ),
)
