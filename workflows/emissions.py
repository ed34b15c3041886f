"""What agents outside say about a run: each word is judged, and each stage ends by one of them."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops import triggers
    from pilothouse.models.names import short
    from pilothouse.models.pipeline import Pipeline
    from pilothouse.models.workspace import EmittedEvent

MAX_EARLY = 20
MAX_NOTICES = 20


class Emissions:
    """Collects the events of one run's external agents.

    They come by signal: early, twice, late, for another revision or as nonsense. Who may emit what,
    the workspace server knows by its keys; which event ends which stage, the pipeline file says.
    """

    def __init__(self, revision: str) -> None:
        self._revision = revision
        self._pipeline: Pipeline | None = None
        self._early: list[EmittedEvent] = []
        self._counted: dict[str, EmittedEvent] = {}
        self._ended: set[str] = set()
        self.notices: tuple[str, ...] = ()
        """What was refused, and why; the last twenty."""
        self.awaited = ""
        """What is waited for now, and who may say it, in Markdown; empty: nothing."""

    def open(self, pipeline: Pipeline) -> None:
        """From here on it is known which events count; judge those that came early."""
        self._pipeline = pipeline
        early, self._early = self._early, []
        for event in early:
            self.judge(event)

    def judge(self, event: EmittedEvent) -> None:
        """Let an event end its agent's stage, keep it for later, or refuse it with a notice."""
        refusal = self._refusal(event)
        if refusal:
            who = event.by[:60] or "nobody"
            self._note(f"{event.event[:60] or 'an event'} by {who} refused: {refusal}")
        elif self._pipeline is None:
            self._early.append(event)
        elif event not in self._counted.values():
            # A server repeats a signal whose answer was lost: the same words are no second event.
            self._count(self._pipeline, event)

    def of(self, agent: str) -> EmittedEvent | None:
        """The event that ends an agent's stage; None while none came."""
        return self._counted.get(agent)

    def close(self, agent: str) -> None:
        """The stage is over: no event can end it any more."""
        self._ended.add(agent)

    def _refusal(self, event: EmittedEvent) -> str:
        """Why an event counts for no agent at all; empty if it may count for one."""
        if event.problem:
            return f"it was not understood ({event.problem})"
        if not (event.event and event.by):
            return 'it needs "event", "by" and "revision"'
        if event.revision != self._revision:
            return f"it is about {short(event.revision) or 'nothing'}, not {short(self._revision)}"
        if self._pipeline is None and len(self._early) >= MAX_EARLY:
            return "too many came before the pipeline file was read"
        return ""

    def _count(self, pipeline: Pipeline, event: EmittedEvent) -> None:
        emitting = [
            name
            for name in pipeline.agents
            if pipeline.role_of(name) == "external"
            and event.event in triggers.emitted_events(pipeline, name)
        ]
        free = [each for each in emitting if each not in self._counted and each not in self._ended]
        if free:
            self._counted[free[0]] = event
            return
        why = "no external agent of the pipeline file emits it"
        if emitting:
            why = f"{emitting[0]} has ended, or an event for it came before"
        self._note(f"{event.event[:60]} by {event.by[:60]} refused: {why}")

    def _note(self, text: str) -> None:
        self.notices = (*self.notices, text)[-MAX_NOTICES:]
