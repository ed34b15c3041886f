"""What objects say about themselves, in our words and in those of other tools."""

import pytest
from pydantic import JsonValue

from pilothouse.gitops.manifests.order import apply_order
from pilothouse.gitops.opt_outs import OptOuts, opt_outs, unknown_values, wave_of
from pilothouse.models.objects import Manifest


def noted(annotations: dict[str, JsonValue], kind: str = "ConfigMap", name: str = "a") -> Manifest:
    body: dict[str, JsonValue] = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "annotations": annotations},
    }
    return Manifest(file="a.yaml", line=1, body=body)


FLUX = "kustomize.toolkit.fluxcd.io/"


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("pilothouse.dev/apply", "if-absent", OptOuts(apply="if-absent")),
        ("pilothouse.dev/apply", "disabled", OptOuts(apply="disabled")),
        ("pilothouse.dev/prune", "disabled", OptOuts(prune=False)),
        ("pilothouse.dev/recreate", "allowed", OptOuts(recreate=True)),
        ("pilothouse.dev/recreate", "never", OptOuts(recreate=False)),
        ("pilothouse.dev/conflicts", "force", OptOuts(force=True)),
        (FLUX + "prune", "Disabled", OptOuts(prune=False)),
        (FLUX + "reconcile", "disabled", OptOuts(apply="disabled")),
        (FLUX + "ssa", "IfNotPresent", OptOuts(apply="if-absent")),
        (FLUX + "ssa", "Ignore", OptOuts(apply="disabled")),
        (FLUX + "ssa", "Merge", OptOuts()),
        (FLUX + "force", "enabled", OptOuts(recreate=True)),
        ("argocd.argoproj.io/sync-options", "Replace=true, Prune=false", OptOuts(prune=False)),
        ("argocd.argoproj.io/sync-options", "Prune=confirm", OptOuts(prune=False)),
        ("argocd.argoproj.io/sync-options", "Prune=true", OptOuts()),
        ("helm.sh/resource-policy", "keep", OptOuts(prune=False)),
    ],
)
def test_each_annotation_means_one_thing(key: str, value: str, meant: OptOuts) -> None:
    assert opt_outs(noted({key: value}).body) == meant


def test_our_own_word_beats_another_tools() -> None:
    body = noted({"pilothouse.dev/prune": "enabled", FLUX + "prune": "disabled"}).body
    assert opt_outs(body).prune


def test_a_value_that_means_nothing_is_named_with_what_would() -> None:
    body = noted({"pilothouse.dev/apply": "Disabled", "pilothouse.dev/wave": "1.5"}).body
    assert [(found.annotation, found.allowed) for found in unknown_values(body)] == [
        ("pilothouse.dev/apply", "always, if-absent, disabled"),
        ("pilothouse.dev/wave", "a whole number up to 10000"),
    ]
    # Others' values are theirs to judge.
    assert unknown_values(noted({FLUX + "prune": "maybe"}).body) == ()


@pytest.mark.parametrize(
    ("annotations", "wave"),
    [
        ({}, 0),
        ({"pilothouse.dev/wave": "-3"}, -3),
        ({"argocd.argoproj.io/sync-wave": "2"}, 2),
        ({"pilothouse.dev/wave": "1", "argocd.argoproj.io/sync-wave": "2"}, 1),
        ({"argocd.argoproj.io/sync-wave": "soon"}, 0),
        ({"argocd.argoproj.io/sync-wave": 5}, 5),
    ],
)
def test_a_wave_is_ours_or_argo_cds_or_none(annotations: dict[str, JsonValue], wave: int) -> None:
    assert wave_of(noted(annotations).body) == wave


def test_waves_order_what_kinds_would_order_otherwise_but_not_across_stages() -> None:
    late: dict[str, JsonValue] = {"pilothouse.dev/wave": "1"}
    ordered = apply_order([
        noted(late, "Secret", "late"),
        noted({}, "Pod", "pod"),
        noted(late, "Namespace", "space"),
    ])
    assert [manifest.ref.name for manifest in ordered] == ["space", "pod", "late"]
