"""N applications from a push to applied, through the whole product.

    python -m benchmarks.applications [--kubeconfig F] --count N --runs R [--reference] [--phases]

N four-object applications stand in one repository and belong to one environment: a Deployment
scaled to zero, a ServiceAccount, a Service and an Ingress each, with the annotation `bench/marker`.
The product runs as `pilothouse up` runs it: Temporal's dev server, Git server, bridge and workers
as processes of their own. First everything is installed, then R times every object changes, then R
times nothing does.

Time runs from the end of `git push` until the last watch event that carries the new marker; for a
push that changes nothing, until its run has ended. One line of JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.four_objects import OBJECTS_EACH, write_applications
from benchmarks.histories import history_bytes, phases
from benchmarks.markers import Markers, watched_markers
from benchmarks.product import Product, running_product
from benchmarks.usage import measured
from pilothouse.clients.cluster.parallel import CONCURRENCY
from pilothouse.clients.logging import configure_logging

PATIENCE_SECONDS = 900.0
QUIET_SECONDS = 2.0
"""Between two pushes, so that one does not pay for the other."""


class RunFailed(Exception):
    """A run ended with something else than success: its times mean nothing."""


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Everything that was asked for, in one dictionary."""
    async with (
        running_product(options.kubeconfig, _say) as product,
        watched_markers(product.server, product.namespace) as markers,
    ):
        bench = _Bench(product, markers, options.count)
        async with measured(product.worker_pids) as usage:
            install = await bench.change("m0")
            updates = [await bench.change(f"m{number}") for number in range(1, options.runs + 1)]
            last = bench.revision
            before = await product.server.requests()
            nothing = [await bench.change_nothing(number) for number in range(options.runs)]
            after = await product.server.requests()
        line: dict[str, object] = {
            "count": options.count,
            "objects": bench.objects,
            "install_s": install,
            "update_s": updates,
            "noop_s": round(median(nothing), 2),
            "noop_runs_s": nothing,
            "noop_requests": _difference(before, after, options.runs),
            "objects_per_s": round(bench.objects / median(updates), 1),
            "peak_rss_mib": usage.peak_rss_mib,
            "cpu_s": usage.cpu_s,
            **await history_bytes(product.client, product.workflow_ids(last)),
        }
        if options.phases:
            line["phases"] = await phases(product.client, product.workflow_ids(last))
            nothing_ids = product.workflow_ids(bench.revision)
            line["noop_phases"] = await phases(product.client, nothing_ids)
        if options.reference:
            line |= await _compared(product, options.count, median(updates))
    return line


class _Bench:
    """Pushes into the product and waits for what comes of it."""

    def __init__(self, product: Product, markers: Markers, count: int) -> None:
        self._product = product
        self._markers = markers
        self._count = count
        self.objects = count * OBJECTS_EACH
        self.revision = ""

    async def change(self, marker: str) -> float:
        """Push a new marker for every object; seconds until the last object carries it."""
        product = self._product
        write_applications(product.folder, self._count, marker, product.namespace)
        self.revision = product.commit(marker)
        await product.push()
        pushed = time.monotonic()
        arriving = asyncio.create_task(
            self._markers.arrived(marker, self.objects, timeout=PATIENCE_SECONDS)
        )
        await self._succeeded(arriving)
        seconds = round((await arriving).last - pushed, 2)
        _say(f"{marker}: {seconds} s, the whole run {time.monotonic() - pushed:.2f} s")
        await asyncio.sleep(QUIET_SECONDS)
        return seconds

    async def change_nothing(self, number: int) -> float:
        """Push a commit that changes no file; seconds until its run has ended."""
        self.revision = self._product.commit(f"nothing {number}")
        await self._product.push()
        pushed = time.monotonic()
        await self._succeeded(None)
        seconds = round(time.monotonic() - pushed, 2)
        _say(f"nothing: {seconds} s")
        await asyncio.sleep(QUIET_SECONDS)
        return seconds

    async def _succeeded(self, arriving: asyncio.Task[object] | None) -> None:
        result = await self._product.finished(self.revision)
        if result.outcome != "succeeded":
            if arriving is not None:
                arriving.cancel()
            raise RunFailed(f"the run ended as {result.outcome}:\n{result.report}")


async def _compared(product: Product, count: int, update: float) -> dict[str, object]:
    """The bare client on the same cluster, after the product, in a process of its own."""
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.bare_client"),
            *("--kubeconfig", str(product.kubeconfig), "--count", str(count)),
            *("--concurrency", str(CONCURRENCY)),
            stdout=output,
        )
        if await process.wait() != 0:
            raise RunFailed("the bare client failed")
        output.seek(0)
        reference = json.loads(output.read())
    ratio = round(reference["update_s"] / update, 2)
    return {"reference": reference, "ratio": ratio}


def _difference(before: dict[str, int], after: dict[str, int], runs: int) -> dict[str, int]:
    """Requests that the API server answered meanwhile, by verb, for each run."""
    counts = {verb: round((after[verb] - before.get(verb, 0)) / runs) for verb in sorted(after)}
    return {verb: count for verb, count in counts.items() if count}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """Measure and print; exit code 1 if a run failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kubeconfig", type=Path, help="default: the embedded control plane")
    parser.add_argument("--count", type=int, default=100, help="applications of four objects")
    parser.add_argument("--runs", type=int, default=5, help="updates, and pushes of nothing")
    parser.add_argument("--layout", choices=["one"], default="one", help="one environment")
    parser.add_argument("--reference", action="store_true", help="then measure the bare client")
    parser.add_argument(
        "--phases", action="store_true", help="where the time of the last pushes went"
    )
    options = parser.parse_args()
    configure_logging("warning", json=False)
    failures: list[str] = []
    try:
        line = asyncio.run(measure(options))
        sys.stdout.write(json.dumps(line) + "\n")
    except* (RunFailed, TimeoutError) as group:
        # A group: the watches and the usage are followed beside the run that failed.
        failures += map(str, _leaves(group))
    for failure in failures:
        _say(failure)
    return 1 if failures else 0


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for each in error.exceptions:
        yield from _leaves(each)


if __name__ == "__main__":
    sys.exit(main())
