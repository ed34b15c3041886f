"""How far a deployment is, where people look: details, search attributes, result."""

from collections.abc import Callable, Sequence
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops.reports import deployment_report
    from pilothouse.models.runs import DeploymentOutcome, DeploymentRequest, DeploymentResult

from workflows.visibility import publish


class Progress:
    """The phase and the result so far of one deployment; each change is shown at once."""

    def __init__(self, request: DeploymentRequest, notices: Callable[[], Sequence[str]]) -> None:
        self._started = workflow.now()
        self._notices = notices
        self.phase = "planning"
        self.deadline: datetime | None = None
        """When the question that it waits with expires."""
        self.result = DeploymentResult(
            outcome="failed",
            environment=request.environment,
            revision=request.revision,
            deployment=workflow.info().workflow_id,
        )

    def enter(self, phase: str) -> None:
        """Begin a phase; one event of history, so phases are few."""
        self.phase = phase
        publish(phase=phase)
        self.show()

    def update(self, **fields: object) -> None:
        """Keep fields of the `DeploymentResult` as they become known."""
        self.result = self.result.model_copy(update=fields)
        self.show()

    def finish(self, outcome: DeploymentOutcome, message: str) -> None:
        """The end, whatever it is."""
        self.phase = "done"
        seconds = round((workflow.now() - self._started).total_seconds(), 1)
        self.update(outcome=outcome, message=message, seconds=seconds)
        self.update(report=self._details())
        publish(phase="done", outcome=outcome)

    def show(self) -> None:
        """Bring the workflow's page up to date."""
        workflow.set_current_details(self._details())

    def _details(self) -> str:
        return deployment_report(self.phase, self.result, self._notices(), self.deadline)
