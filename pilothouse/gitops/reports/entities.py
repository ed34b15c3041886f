"""The pages of the two entities."""

from pilothouse.gitops.reports.commands import resume_line, signal_line
from pilothouse.gitops.reports.markdown import block, bullets, code, paragraphs, plain, table
from pilothouse.models import names
from pilothouse.models.environment import EnvironmentState
from pilothouse.models.names import short
from pilothouse.models.runs import RepositoryState


def environment_report(workflow_id: str, environment: str, state: EnvironmentState) -> str:
    """Lock, hold, releases, last look."""
    good = state.last_good
    current = code(short(state.current)) if state.current else "nothing yet"
    rows = [
        ("written last", current),
        ("last good", f"{code(short(good.revision))} since {good.at[:19]}" if good else "none yet"),
        ("lock", f"held by {code(state.holder.holder)}" if state.holder else "free"),
        ("fencing number", str(state.fencing)),
        ("waiting", str(len(state.queue))),
    ]
    if state.lender is not None:
        rows.append(("lent by", code(state.lender.holder)))
    if state.ownership is not None:
        whose = state.ownership
        rows.append(("owner", f"{plain(whose.owner)} since {whose.since[:19]}: approves alone"))
    if state.observation is not None:
        seen = state.observation
        rows.append(("last look", f"{seen.status} at {seen.at[:19]}: {plain(seen.summary)}"))
    if state.corrections:
        last = state.corrections[-1]
        what = ", ".join(last.differences[:3])
        rows.append(("drift put back", f"at {last.at[:19]}: {plain(what)}"))
    hold = f"**{plain(environment)}**: automation is on"
    if state.hold is not None:
        hold = (
            f"**{plain(environment)} is on hold** ({state.hold.kind}): {plain(state.hold.reason)}"
        )
    elif state.correcting_stopped:
        hold = (
            f"**{plain(environment)}**: drift is only reported. {plain(state.correcting_stopped)}"
        )
    if state.hold is not None or state.correcting_stopped:
        how = "To resume:\n\n" + block(resume_line(workflow_id))
    else:
        claim = {"by": "you@example.org", "reason": "why"}
        how = "To pause:\n\n" + block(signal_line(workflow_id, names.SIGNAL_HOLD, claim))
    releases = table(
        ("revision", "outcome", "at", "why"),
        [
            (code(short(past.revision)), past.outcome, past.at[:19], plain(past.reason, 120))
            for past in reversed(state.releases[-10:])
        ],
    )
    return paragraphs(
        hold,
        table(("", ""), rows),
        releases if state.releases else "",
        how,
        bullets(plain(notice) for notice in state.notices[-5:]),
    )


def repository_report(slug: str, state: RepositoryState) -> str:
    """Runs, what waits, what was ignored and why."""
    runs = table(
        ("run", "ref", "revision", "outcome"),
        [
            (code(run.run), plain(run.ref), code(short(run.revision)), run.outcome)
            for run in reversed(state.runs[-10:])
        ],
    )
    return paragraphs(
        f"**{plain(slug)}**: {len(state.pending)} events wait",
        runs if state.runs else "No run yet.",
        bullets(plain(notice) for notice in state.notices[-5:]),
    )
