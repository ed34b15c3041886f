"""Temporal Schedules for the monitors."""

from temporalio import activity
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from pilothouse.models import names
from pilothouse.models.pipeline import duration
from pilothouse.models.runs import MonitorRequest
from pilothouse.models.steps import MonitorScheduleRequest


class ScheduleActivities:
    """What workflows may do to Temporal's Schedules."""

    def __init__(self, *, client: Client) -> None:
        self._client = client

    @activity.defn
    async def ensure_monitor_schedule(self, request: MonitorScheduleRequest) -> str:
        """Create the environment's monitor schedule, or bring it up to date; returns its id.

        Idempotent. A pause that a person set on the schedule stays.
        """
        schedule_id = names.schedule_id(request.repository.slug, request.environment)
        wanted = _schedule(request, schedule_id)
        try:
            await self._client.create_schedule(schedule_id, wanted)
        except ScheduleAlreadyRunningError:
            handle = self._client.get_schedule_handle(schedule_id)

            def keep_pause(current: ScheduleUpdateInput) -> ScheduleUpdate:
                wanted.state = current.description.schedule.state
                return ScheduleUpdate(schedule=wanted)

            await handle.update(keep_pause)
        return schedule_id


def _schedule(request: MonitorScheduleRequest, workflow_id: str) -> Schedule:
    when = request.trigger.removeprefix("cron.")
    if " " in when:
        spec = ScheduleSpec(cron_expressions=[when])
    else:
        spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=duration(when))])
    look = MonitorRequest(
        repository=request.repository,
        environment=request.environment,
        policy=request.policy,
        health_checks=request.health_checks,
        trigger="schedule",
    )
    return Schedule(
        action=ScheduleActionStartWorkflow(
            names.MONITOR_WORKFLOW,
            look,
            id=workflow_id,
            task_queue=names.WORKFLOW_QUEUE,
            static_summary=f"look at {request.environment} ({request.trigger})",
        ),
        spec=spec,
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
