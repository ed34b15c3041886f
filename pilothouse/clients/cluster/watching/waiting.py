"""Watching objects until they work, or until waiting can change nothing."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from pilothouse.clients.cluster.answers import Unavailable
from pilothouse.clients.cluster.comparing.objects import Sight
from pilothouse.clients.cluster.watching.evidence import Evidence, Surroundings, Trouble
from pilothouse.clients.cluster.watching.listing import Lister, Look
from pilothouse.gitops.diagnosis import current_pods
from pilothouse.gitops.health import WORKLOADS, assess, needs_status, reports_nothing, worst
from pilothouse.gitops.health.fields import LiveObject, number, objects, text
from pilothouse.gitops.inventory import ObjectKey, key_of
from pilothouse.models.health import Diagnosis, HealthReport, ObjectHealth
from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import HealthCheck

_MAX_WAITING: Final = 20
_FOLLOWERS: Final = frozenset({
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Service",
})
"""Kinds that get well only after the workloads behind them do."""


class Patience(NamedTuple):
    """How long to look, in seconds."""

    timeout: float
    interval: float = 1.0
    settle: float = 1.0
    """Workloads must be healthy at two looks so far apart, with no restart in between."""
    persist: float = 3.0
    """A final diagnosis counts when it has stood so long."""
    quiet: float = 15.0
    """A custom resource that has reported nothing for so long is taken as working."""


class _State(NamedTuple):
    """One look at everything."""

    looks: list[Look]
    healths: list[ObjectHealth]

    @property
    def troubles(self) -> list[Trouble]:
        pairs = zip(self.looks, self.healths, strict=True)
        return [
            Trouble(look, health.message)
            for look, health in pairs
            if health.status not in {"Healthy", "Suspended"}
        ]


class HealthWatch:
    """One watch over one set of objects. Use once."""

    def __init__(
        self,
        lister: Lister,
        evidence: Evidence,
        patience: Patience,
        beat: Callable[[str], None],
        *,
        checks: Sequence[HealthCheck] = (),
        may_vanish: Collection[ObjectKey] = (),
    ) -> None:
        self._lister = lister
        self._evidence = evidence
        self._patience = patience
        self._beat = beat
        self._checks = checks
        self._may_vanish = frozenset(may_vanish)
        self._started = time.monotonic()
        self._final_since: dict[ObjectKey, float] = {}
        self._well_since: tuple[float, object] | None = None

    async def once(self, refs: Sequence[ObjectRef], namespace: str) -> HealthReport:
        """Look once, and diagnose what is not healthy."""
        return await self._conclude(await self._look(refs, namespace), timed_out=False)

    async def until_settled(self, refs: Sequence[ObjectRef], namespace: str) -> HealthReport:
        """Look until all is healthy and stays so, nothing can change any more, or time is up.

        Raises:
            Unavailable: the server did not answer when the time was up.
        """
        while True:
            try:
                state = await self._look(refs, namespace)
                if await self._is_settled(state):
                    return await self._conclude(state, timed_out=False)
                if self._seconds() >= self._patience.timeout:
                    return await self._conclude(state, timed_out=True)
                self._beat(_progress(state))
            except Unavailable as error:
                if self._seconds() >= self._patience.timeout:
                    raise
                self._beat(str(error))
            left = self._patience.timeout - self._seconds()
            await asyncio.sleep(max(0.0, min(self._patience.interval, left)))

    async def _look(self, refs: Sequence[ObjectRef], namespace: str) -> _State:
        looks = await self._lister.look(refs, namespace, self._checks)
        return _State(looks, [self._judge(look) for look in looks])

    def _judge(self, look: Look) -> ObjectHealth:
        if look.sight is Sight.ABSENT and key_of(look.ref) in self._may_vanish:
            return ObjectHealth(
                object=look.ref, status="Healthy", message="ran, and was removed when done"
            )
        if look.sight is Sight.ABSENT:
            return ObjectHealth(object=look.ref, status="Missing", message="is not in the cluster")
        if look.live is None:
            if needs_status(look.ref, self._checks):
                return ObjectHealth(object=look.ref, status="Unknown", message="may not be read")
            return ObjectHealth(
                object=look.ref, status="Healthy", message="may not be read; taken as applied"
            )
        health = assess(look.live, self._checks)
        silent = health.status == "Progressing" and reports_nothing(look.live)
        if silent and look.ref.kind not in WORKLOADS and self._seconds() >= self._patience.quiet:
            message = "reports no status; taken as working"
            return health.model_copy(update={"status": "Healthy", "message": message})
        return health

    async def _is_settled(self, state: _State) -> bool:
        troubles = state.troubles
        if not troubles:
            return await self._stays_well(state)
        self._well_since = None
        around = await self._evidence.around(trouble.look for trouble in troubles)
        found = await self._evidence.diagnose(troubles, around, deep=False)
        return len(troubles) == len(found) and self._nothing_can_change(found)

    def _nothing_can_change(self, found: Sequence[Diagnosis]) -> bool:
        """Whether every cause is final, and has been for a while."""
        now = self._seconds()
        causes = [one for one in found if one.object.kind not in _FOLLOWERS]
        final = {key_of(one.object) for one in causes if one.final}
        troubled = {key_of(one.object) for one in causes}
        # A crashing container runs now and then: that alone does not set its clock back.
        self._final_since = {k: t for k, t in self._final_since.items() if k in troubled}
        for key in final:
            self._final_since.setdefault(key, now)
        persists = [now - self._final_since[key] >= self._patience.persist for key in final]
        return bool(final) and final == troubled and all(persists)

    async def _stays_well(self, state: _State) -> bool:
        """Healthy now, and healthy a moment ago with the same pods and no restart since."""
        if not any(look.ref.kind in WORKLOADS for look in state.looks):
            return True
        around = await self._evidence.around(state.looks)
        print_now = _fingerprint(state.looks, around)
        if self._well_since is None or self._well_since[1] != print_now:
            self._well_since = (self._seconds(), print_now)
        return self._seconds() - self._well_since[0] >= self._patience.settle

    async def _conclude(self, state: _State, *, timed_out: bool) -> HealthReport:
        troubles = state.troubles
        diagnoses: tuple[Diagnosis, ...] = ()
        if troubles:
            around = await self._evidence.around(trouble.look for trouble in troubles)
            diagnoses = await self._evidence.diagnose(troubles, around, deep=True)
            diagnoses = tuple(self._with_finality(found) for found in diagnoses)
        if timed_out:
            diagnoses = tuple(_as_timeout(found, self._patience.timeout) for found in diagnoses)
        bad = {key_of(trouble.look.ref) for trouble in troubles}
        waiting = [health for health in state.healths if key_of(health.object) in bad]
        return HealthReport(
            status=worst([health.status for health in state.healths]),
            objects=len(state.looks),
            waiting_for=tuple(waiting[:_MAX_WAITING]),
            diagnoses=diagnoses,
            seconds=round(self._seconds(), 3),
        )

    def _with_finality(self, found: Diagnosis) -> Diagnosis:
        """Final as the wait judged it: a back-off that starts over now and then is still one."""
        since = self._final_since.get(key_of(found.object))
        if since is None or self._seconds() - since < self._patience.persist:
            return found
        return found.model_copy(update={"final": True})

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _fingerprint(looks: Sequence[Look], around: dict[str, Surroundings]) -> object:
    """Every current pod with the restarts of its containers."""
    prints: set[tuple[str, int]] = set()
    for look in looks:
        if look.live is None or look.ref.kind not in WORKLOADS:
            continue
        here = around.get(look.ref.namespace, Surroundings())
        pods = current_pods(look.live, here.replica_sets, here.pods)
        prints.update((text(pod, "metadata", "uid"), _restarts(pod)) for pod in pods)
    return prints


def _restarts(pod: LiveObject) -> int:
    return sum(number(status, "restartCount") for status in _statuses(pod))


def _statuses(pod: LiveObject) -> list[LiveObject]:
    return objects(pod, "status", "containerStatuses")


def _progress(state: _State) -> str:
    waiting = [str(trouble.look.ref) for trouble in state.troubles]
    if not waiting:
        return "everything is healthy; waiting to see that it stays so"
    return f"waiting for {len(waiting)} of {len(state.looks)} objects: {', '.join(waiting[:3])}"


def _as_timeout(found: Diagnosis, seconds: float) -> Diagnosis:
    if found.cause != "unknown":
        return found
    summary = f"{found.object.kind} {found.object.name} was not healthy within {seconds:.0f} s."
    return found.model_copy(update={"cause": "timeout", "summary": summary})
