"""What a bundle hands to an autoscaler is neither planned nor drift."""

from typing import Any

from pilothouse.gitops.ignores import REPLICAS, implied_ignores
from pilothouse.models.objects import Bundle, Manifest
from pilothouse.models.pipeline import IgnoreRule


def bundle(*bodies: dict[str, Any]) -> Bundle:
    return Bundle(
        environment="staging",
        namespace="app",
        policy="sha256:" + "0" * 64,
        manifests=tuple(Manifest(file="a.yaml", line=1, body=body) for body in bodies),
    )


def scaler(target: Any, api_version: str = "autoscaling/v2", kind: str = "") -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind or "HorizontalPodAutoscaler",
        "metadata": {"name": "api", "namespace": "app"},
        "spec": {"scaleTargetRef": target},
    }


def test_the_replicas_of_what_an_autoscaler_scales_are_its_own() -> None:
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}
    assert implied_ignores(bundle(scaler(target), scaler(target))) == (
        IgnoreRule(kind="StatefulSet", group="apps", name="db", pointers=(REPLICAS,)),
    )


def test_a_scaled_object_may_leave_the_kind_of_its_target_out() -> None:
    one = scaler({"name": "api"}, "keda.sh/v1alpha1", "ScaledObject")
    assert implied_ignores(bundle(one)) == (
        IgnoreRule(kind="Deployment", group="apps", name="api", pointers=(REPLICAS,)),
    )


def test_without_an_autoscaler_or_its_target_nothing_is_ignored() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}}
    foreign = scaler({"name": "api"}, "example.org/v1")
    assert implied_ignores(bundle(deployment, foreign, scaler(None), scaler({"name": 7}))) == ()
