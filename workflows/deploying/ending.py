"""How the parts of a deployment end it."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.models.runs import DeploymentOutcome


class Ended(Exception):
    """The deployment is over, early or not, with this outcome."""

    def __init__(self, outcome: DeploymentOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome: DeploymentOutcome = outcome
