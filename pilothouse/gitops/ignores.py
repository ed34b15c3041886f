"""Fields that a bundle itself hands to a controller: they are nobody's drift."""

from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from pilothouse.models.objects import Bundle, Manifest
from pilothouse.models.pipeline import IgnoreRule

REPLICAS: Final = "/spec/replicas"
_SCALERS: Final = {"HorizontalPodAutoscaler": "autoscaling", "ScaledObject": "keda.sh"}
"""Kind -> API group of what writes another object's replicas, as its `spec.scaleTargetRef` says."""


def implied_ignores(bundle: Bundle) -> tuple[IgnoreRule, ...]:
    """Ignore rules that follow from the bundle: the replicas of what an autoscaler in it scales.

    Without them each plan would undo what the autoscaler did, and each look would call it drift.
    """
    rules: dict[IgnoreRule, None] = {}
    for manifest in bundle.manifests:
        if _SCALERS.get(manifest.ref.kind) == manifest.ref.group:
            rules |= dict.fromkeys(_targets(manifest))
    return tuple(rules)


def _targets(scaler: Manifest) -> Iterator[IgnoreRule]:
    spec = scaler.body.get("spec")
    target = spec.get("scaleTargetRef") if isinstance(spec, dict) else None
    if not isinstance(target, dict):
        return
    # A ScaledObject may leave the kind out: it is a Deployment then.
    kind = _text(target.get("kind")) or "Deployment"
    version = _text(target.get("apiVersion")) or "apps/v1"
    if name := _text(target.get("name")):
        yield IgnoreRule(
            kind=kind, group=version.rpartition("/")[0], name=name, pointers=(REPLICAS,)
        )


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
