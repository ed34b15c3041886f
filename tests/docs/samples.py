"""A deployment's result, as the documentation describes it."""

from pilothouse.models.objects import Plan
from pilothouse.models.runs import DeploymentResult


def deployed() -> DeploymentResult:
    """A good deployment to staging."""
    plan = Plan(
        digest="sha256:" + "0" * 64,
        revision="a" * 40,
        environment="staging",
        counts={"create": 1},
    )
    return DeploymentResult(outcome="deployed", environment="staging", revision="a" * 40, plan=plan)
