"""Volumes that hold nothing: a provisioner, so that claims bind and StatefulSets start."""

from http import HTTPStatus

import structlog

from pilothouse.local.nodes.api import ClusterApi, RefusedError, path
from pilothouse.local.nodes.pods.documents import Document
from pilothouse.local.nodes.registration import SIMULATED
from pilothouse.local.nodes.workqueue import WorkQueue

_log = structlog.get_logger()

STORAGE_CLASS = "simulated"
PROVISIONER = SIMULATED
CLAIMS = path("api", "v1", "persistentvolumeclaims")

_CLASSES = path("apis", "storage.k8s.io", "v1", "storageclasses")
_VOLUMES = path("api", "v1", "persistentvolumes")
_IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_RETRY_SECONDS = 2.0


class Provisioner:
    """Gives each pending claim a volume, and takes the volume back with it. An informer's sink.

    Binding itself is the controller manager's: a volume that names its claim is all it needs.
    """

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._queue = WorkQueue()
        self._claims: dict[str, Document] = {}
        """By uid."""
        self._gone: set[str] = set()

    async def create_class(self) -> None:
        """Create the default storage class. Idempotent."""
        try:
            await self._api.create(_CLASSES, _storage_class())
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise

    def replaced(self, objects: list[Document]) -> None:
        """Take the full list of claims; those that went unseen are taken back in `run`."""
        listed = {claim["metadata"]["uid"] for claim in objects}
        for uid in [uid for uid in self._claims if uid not in listed]:
            self.removed(self._claims[uid])
        for claim in objects:
            self.changed(claim)

    def changed(self, document: Document) -> None:
        """A claim is new or differs."""
        if document["spec"].get("storageClassName") != STORAGE_CLASS:
            return
        uid = document["metadata"]["uid"]
        self._claims[uid] = document
        if not document["spec"].get("volumeName"):
            self._queue.add(uid)

    def removed(self, document: Document) -> None:
        """A claim is gone."""
        uid = document["metadata"]["uid"]
        if self._claims.pop(uid, None) is not None:
            self._gone.add(uid)
            self._queue.add(uid)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self._queue.serve(
                self._sync, retry_seconds=_RETRY_SECONDS, failure="volume not settled, trying again"
            )
        finally:
            self._queue.clear()

    async def sweep(self) -> None:
        """Delete volumes of ours that were released while nobody watched. Idempotent."""
        for volume in (await self._api.get(_VOLUMES)).get("items") or ():
            annotations = volume["metadata"].get("annotations") or {}
            released = (volume.get("status") or {}).get("phase") == "Released"
            if released and annotations.get(_PROVISIONED_BY) == PROVISIONER:
                await self._delete(volume["metadata"]["name"])

    async def _sync(self, uid: str) -> None:
        if uid in self._gone:
            await self._delete(_volume_name(uid))
            self._gone.discard(uid)
            return
        claim = self._claims.get(uid)
        if claim is None or claim["spec"].get("volumeName"):
            return
        try:
            await self._api.create(_VOLUMES, _volume(claim))
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise

    async def _delete(self, name: str) -> None:
        try:
            await self._api.delete(f"{_VOLUMES}/{name}")
        except RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def _storage_class() -> Document:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {_IS_DEFAULT: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": False,
    }


def _volume_name(uid: str) -> str:
    return f"pvc-{uid}"


def _volume(claim: Document) -> Document:
    metadata, spec = claim["metadata"], claim["spec"]
    name = _volume_name(metadata["uid"])
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "labels": {SIMULATED: "true"},
            # With it the controller manager leaves deletion to us.
            "annotations": {_PROVISIONED_BY: PROVISIONER},
        },
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            # A path that no node has: nothing is mounted, and nothing waits to be attached.
            "hostPath": {"path": f"/simulated/{name}"},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
            "volumeMode": spec.get("volumeMode", "Filesystem"),
        },
    }
