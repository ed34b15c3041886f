"""What one revision changes against another one, without a cluster."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pilothouse.gitops.inventory import ObjectKey, key_of
from pilothouse.gitops.plan.changes import assemble, describe
from pilothouse.gitops.plan.comparison import differences
from pilothouse.gitops.plan.equivalence import means_the_same
from pilothouse.models.findings import Finding
from pilothouse.models.objects import Action, Bundle, Manifest, ObjectChange, Plan
from pilothouse.models.pipeline import IgnoreRule

_Name = tuple[ObjectKey, str, int]


def between(
    old: Bundle | None,
    new: Bundle,
    revision: str,
    ignore: Sequence[IgnoreRule] = (),
    findings: Sequence[Finding] = (),
) -> Plan:
    """The plan that leads from one revision's objects to another one's.

    No server has filled in defaults or brought quantities into one form, so what means the same
    (`0.1` and `100m`) is no difference here. What the server would refuse is not known.

    Args:
        old: the objects of the revision to compare with; None if it had none.
        new: the objects of this one.
        revision: this one's full commit id.
        ignore: the environment's rules about fields that others own.
        findings: what to say beside it.
    """
    known = dict(_named(old.manifests if old is not None else ()))
    changes = [_change(known.pop(name, None), m, ignore) for name, m in _named(new.manifests)]
    gone = [describe("delete", m.ref, live=m.body) for m in reversed(known.values())]
    return assemble(new, revision, [*changes, *gone], findings=findings)


def _named(manifests: Sequence[Manifest]) -> Iterator[tuple[_Name, Manifest]]:
    """Each object with what it is known by in both revisions.

    Its identity alone would do, but a folder without a pipeline file may hold variants of one
    object: those are told apart by their file, and their order in it.
    """
    times = Counter(key_of(manifest.ref) for manifest in manifests)
    seen: Counter[tuple[ObjectKey, str]] = Counter()
    for manifest in manifests:
        key = key_of(manifest.ref)
        file = manifest.file if times[key] > 1 else ""
        yield (key, file, seen[key, file]), manifest
        seen[key, file] += 1


def _change(old: Manifest | None, new: Manifest, ignore: Sequence[IgnoreRule]) -> ObjectChange:
    action: Action = "create"
    if old is not None:
        differs = any(differences(old.body, new.body, ignore, means_the_same))
        action = "change" if differs else "unchanged"
    live = old.body if old is not None else None
    return describe(action, new.ref, manifest=new, live=live, ignore=ignore, same=means_the_same)
