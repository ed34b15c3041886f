"""Whether workloads stay up: probes, resources, replicas, budgets, and objects that fit together.

Each module holds rules of one theme and their checks. Rules that other tools have are kept apart by
those tools' meaning: where two tools differ, two rules with disjoint conditions say so, and no
object is told the same thing twice.
"""

from pilothouse.gitops.validation.practice import Check
from pilothouse.gitops.validation.reliability import (
    autoscaling,
    disruption,
    images,
    metadata,
    pods,
    probes,
    quotas,
    replicas,
    resources,
    traffic,
    workloads,
)
from pilothouse.gitops.validation.rule import Rule

CHECKS: tuple[Check, ...] = (
    images.check_images,
    resources.check_resources,
    probes.check_probes,
    pods.check_pods,
    pods.check_containers,
    replicas.check_replicas,
    disruption.check_disruption,
    autoscaling.check_autoscaling,
    quotas.check_quotas,
    *workloads.CHECKS,
    *traffic.CHECKS,
    *metadata.CHECKS,
)
RULES: tuple[Rule, ...] = (
    *images.RULES,
    *resources.RULES,
    *probes.RULES,
    *pods.RULES,
    *replicas.RULES,
    *disruption.RULES,
    *autoscaling.RULES,
    *quotas.RULES,
    *workloads.RULES,
    *traffic.RULES,
    *metadata.RULES,
)
