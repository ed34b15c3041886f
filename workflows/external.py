"""The stage of an agent that is somebody outside: it waits for their word, within bounds."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops import triggers
    from pilothouse.models.names import short
    from pilothouse.models.pipeline import duration
    from pilothouse.models.runs import StageReport

from workflows.run import Run


async def await_external(run: Run, agent: str) -> list[StageReport]:
    """Wait until somebody ends the stage by one of its events, for at most the agent's time.

    The first of its events is the good one, every other one a failure. Silence is a failure too,
    unless `on_error` is `human`: then the run goes on and asks a person before it deploys.
    """
    spec = run.pipeline.agents[agent]
    events = triggers.emitted_events(run.pipeline, agent)
    run.emissions.awaited = _awaited(events, spec.budget.time)
    run.show()
    try:
        await workflow.wait_condition(
            lambda: run.emissions.of(agent) is not None or bool(run.superseded),
            timeout=duration(spec.budget.time),
            timeout_summary=f"until {agent} has had its time ({spec.budget.time})",
        )
    except TimeoutError:
        return [_silent(run, agent, events)]
    finally:
        run.emissions.awaited = ""
        run.emissions.close(agent)
    return [_ended(run, agent, events)]


def _awaited(events: tuple[str, ...], time: str) -> str:
    """In Markdown; the names of events hold nothing that could be markup."""
    scopes = " or ".join(f"`emit:{event}`" for event in events)
    return (
        f"waits up to {time} for somebody outside: a key of the workspace server with the scope "
        f"{scopes} ends the stage by writing `status/<event>.json` for this revision"
    )


def _ended(run: Run, agent: str, events: tuple[str, ...]) -> StageReport:
    event = run.emissions.of(agent)
    if event is None:
        summary = f"superseded by {short(run.superseded)} while it waited for somebody outside"
        return StageReport(agent=agent, outcome="superseded", summary=summary)
    where = f", in {short(event.status_commit)}" if event.status_commit else ""
    return StageReport(
        agent=agent,
        outcome="passed" if event.event == events[0] else "failed",
        event=f"status.{event.event}",
        summary=f"{event.by[:60]} said {event.event}{where}",
    )


def _silent(run: Run, agent: str, events: tuple[str, ...]) -> StageReport:
    """What counts when nobody said anything: nothing that was asked for goes on by itself."""
    spec = run.pipeline.agents[agent]
    summary = f"nobody outside ended the stage within {spec.budget.time}"
    good, *bad = events
    if spec.on_error == "human":
        run.needs_human.append(f"{agent}: {summary}")
        told = f"{summary}; a person is asked before anything is deployed"
        return StageReport(agent=agent, outcome="skipped", event=f"status.{good}", summary=told)
    event = f"status.{bad[0]}" if bad else ""
    return StageReport(agent=agent, outcome="failed", event=event, summary=summary)
