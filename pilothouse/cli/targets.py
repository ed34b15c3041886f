"""Which environment of which folder a command means, and what the cluster says about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilothouse.cli.console import ANSWER_IS_NO, WRONG_USE, fail
from pilothouse.models import names
from pilothouse.models.findings import ValidationReport
from pilothouse.models.health import DriftReport
from pilothouse.models.objects import Bundle, Plan
from pilothouse.models.pipeline import Environment, IgnoreRule

if TYPE_CHECKING:
    from pilothouse.clients.cluster import ClusterClient
    from pilothouse.clients.folder import Folder
    from pilothouse.clients.git import LocalRepository
    from pilothouse.gitops.inventory import Inventory

Where = Annotated[Path, typer.Argument(help="A repository, a folder of manifests, or one file.")]
EnvironmentOption = Annotated[
    str, typer.Option("--environment", "-e", help="One of the pipeline file's.")
]
ContextOption = Annotated[str | None, typer.Option(help="The kubeconfig's context.")]

NO_REVISION = "0" * 40
"""Stands for the revision of a folder that is in no repository."""
_UNKNOWN_INVENTORY = "pilothouse-plan"
_ANY_OWNER = IgnoreRule(pointers=(f"/metadata/labels/{names.OWNER_LABEL.replace('/', '~1')}",))
"""Our label's value is the inventory's name: where that is not known, nor is the label."""


@dataclass(frozen=True)
class Target:
    """One environment of a folder, or the whole folder if it declares none."""

    path: Path
    bundle: Bundle
    report: ValidationReport
    environment: Environment | None
    repository: "LocalRepository | None"
    revision: str
    """HEAD's commit of the repository that the folder stands in."""

    @property
    def ignore(self) -> tuple[IgnoreRule, ...]:
        """What the environment, and the autoscalers of the bundle, leave to others."""
        from pilothouse.gitops.ignores import implied_ignores

        declared = self.environment.ignore if self.environment else ()
        return (*declared, *implied_ignores(self.bundle))


@dataclass(frozen=True)
class Compared:
    """A target beside a cluster."""

    plan: Plan
    inventory: str
    """Its name; empty if it is not known."""
    stored: "Inventory | None"
    drift: DriftReport
    """What the cluster calls drifted; empty unless that was asked for."""


def read_target(path: Path, environment: str) -> Target:
    """Load and validate a folder; one of its environments, or the only one.

    Raises:
        typer.Exit: there is no such environment, or nothing could be loaded.
        PermanentError: `InvalidRequest`, the path is no folder of manifests.
    """
    from pilothouse.clients.folder import read_folder
    from pilothouse.clients.git import LocalRepository

    folder = read_folder(path)
    bundle = chosen(folder, environment)
    repository = LocalRepository.around(path if path.is_dir() else path.parent)
    return Target(
        path=path,
        bundle=bundle,
        report=folder.report,
        environment=_declared(folder, bundle),
        repository=repository,
        revision=repository.head() or NO_REVISION if repository else NO_REVISION,
    )


def chosen(folder: "Folder", environment: str) -> Bundle:
    """The bundle of the environment that was named, or the only one.

    Raises:
        typer.Exit: there is no such environment, there are several, or nothing could be loaded.
    """
    found = [bundle.environment for bundle in folder.bundles]
    if environment:
        if environment not in found:
            known = ", ".join(filter(None, found)) or "no pipeline file declares one"
            fail(f"there is no environment {environment!r} here ({known})", WRONG_USE)
        return folder.bundles[found.index(environment)]
    if len(found) > 1:
        fail(f"choose one with --environment: {', '.join(found)}", WRONG_USE)
    if not found:
        fail("nothing could be loaded: see `pilothouse validate`", ANSWER_IS_NO)
    return folder.bundles[0]


def _declared(folder: "Folder", bundle: Bundle) -> Environment | None:
    return folder.pipeline.environments.get(bundle.environment) if folder.pipeline else None


def files_at(target: Target, revision: str) -> Mapping[str, bytes]:
    """The target's files as they were at a revision of its repository.

    Raises:
        typer.Exit: the folder stands in no Git repository.
        PermanentError: `RevisionNotFound`, `RepositoryRefused`.
    """
    if target.repository is None:
        fail(f"{target.path} stands in no Git repository", WRONG_USE)
    files = target.repository.files(target.repository.resolve(revision))
    if target.path.is_dir():
        return files
    return {path: files[path] for path in files if path == target.path.name}


async def compare_with_cluster(
    target: Target, kubeconfig: Path | None, context: str | None, *, drift: bool = False
) -> Compared:
    """Plan a target against a live cluster; writes nothing to it.

    What left Git is known from the environment's inventory. Where that cannot be found nothing is
    said about it.
    """
    from pilothouse.clients.cluster import ClusterClient

    async with await ClusterClient.connect(kubeconfig, context) as cluster:
        inventory, stored = await _inventory(cluster, target)
        environment = target.environment
        name = inventory or _UNKNOWN_INVENTORY
        ignore = target.ignore if inventory else (*target.ignore, _ANY_OWNER)
        plan = await cluster.plan(
            target.bundle,
            revision=target.revision,
            inventory=name,
            prune=bool(inventory) and (environment is None or environment.prune),
            recreate=environment is not None and environment.recreate,
            ignore=ignore,
        )
        drifted = DriftReport()
        if drift:
            drifted = await cluster.drift(target.bundle, inventory=name, ignore=ignore)
    return Compared(plan, inventory, stored, drifted)


async def _inventory(cluster: "ClusterClient", target: Target) -> "tuple[str, Inventory | None]":
    """By the repository's remote, else the only one in the namespace of this environment."""
    bundle = target.bundle
    slug = target.repository.slug() if target.repository else ""
    if slug and bundle.environment:
        name = names.inventory_name(slug, bundle.environment)
        stored = await cluster.read_inventory(bundle.namespace, name)
        if stored is not None:
            return name, stored
    there = await cluster.find_inventories(bundle.namespace)
    fitting = {
        name: stored
        for name, stored in there.items()
        if bundle.environment and stored.environment == bundle.environment
    }
    return next(iter(fitting.items())) if len(fitting) == 1 else ("", None)
