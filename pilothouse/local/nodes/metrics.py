"""The metrics API of simulated nodes: autoscalers and `kubectl top` find what they look for.

Served as an extension of the API server, which is the only client that is let in.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

import structlog
from aiohttp import web

from pilothouse.local.nodes.api import ClusterApi, RefusedError, path
from pilothouse.local.nodes.clock import clock
from pilothouse.local.nodes.kubelet import HOST_IP, Kubelet
from pilothouse.local.nodes.pods.documents import Document
from pilothouse.local.nodes.registration import SIMULATED
from pilothouse.local.nodes.usage import (
    API_VERSION,
    GROUP,
    VERSION,
    node_usage,
    pod_usage,
    resource_list,
    selects,
)
from pilothouse.models.errors import PermanentError, TemporaryError

_log = structlog.get_logger()

_SERVICE = {"namespace": "kube-system", "name": "simulated-metrics"}
_ROOT = path("apis", GROUP, VERSION)
_SERVICES = path("api", "v1", "namespaces", _SERVICE["namespace"], "services")
_API_SERVICES = path("apis", "apiregistration.k8s.io", "v1", "apiservices")
_AUTHENTICATION = path(
    "api", "v1", "namespaces", "kube-system", "configmaps", "extension-apiserver-authentication"
)
_REGISTRATION = f"{VERSION}.{GROUP}"
_LOOK_SECONDS = 15.0
_RETRY_SECONDS = 1.0


class MetricsServer:
    """Serves the metrics API, and has the API server forward to it as long as nobody else does.

    Args:
        api: the connection.
        kubelet: who knows the pods.
        nodes: the simulated nodes.
        certificate: to serve with.
        key: its key.
    """

    def __init__(
        self, api: ClusterApi, kubelet: Kubelet, nodes: list[str], certificate: Path, key: Path
    ) -> None:
        self._api = api
        self._kubelet = kubelet
        self._nodes = nodes
        self._certificate = certificate
        self._key = key

    async def run(self) -> None:
        """Serve until cancelled."""
        with socket.socket() as listener:
            listener.bind((HOST_IP, 0))
            port = listener.getsockname()[1]
            tls = await self._tls()
            runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            try:
                await web.SockSite(runner, listener, ssl_context=tls).start()
                while True:
                    await self._stay_registered(port)
                    await asyncio.sleep(_LOOK_SECONDS)
            finally:
                await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application()
        app.add_routes([
            web.get(_ROOT, self._resources),
            web.get(f"{_ROOT}/nodes", self._list_nodes),
            web.get(f"{_ROOT}/nodes/{{name}}", self._show_node),
            web.get(f"{_ROOT}/pods", self._list_pods),
            web.get(f"{_ROOT}/namespaces/{{namespace}}/pods", self._list_pods),
            web.get(f"{_ROOT}/namespaces/{{namespace}}/pods/{{name}}", self._show_pod),
        ])
        return app

    # -- registration -----------------------------------------------------------------------------

    async def _tls(self) -> ssl.SSLContext:
        """A context that lets in whom the cluster lets forward requests, and nobody else."""
        while True:
            try:
                found = await self._api.get(_AUTHENTICATION)
            except (TemporaryError, PermanentError) as error:
                # The API server writes it as it starts.
                _log.info("no authority for forwarded requests yet", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            authority = found["data"]["requestheader-client-ca-file"]
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority)
            context.load_cert_chain(self._certificate, self._key)
            context.verify_mode = ssl.CERT_REQUIRED
            return context

    async def _stay_registered(self, port: int) -> None:
        """Name our port to the API server, unless a metrics server of somebody's is named."""
        try:
            await self._register(port)
        except (TemporaryError, PermanentError) as error:
            _log.warning("the metrics API is not registered", error=str(error))

    async def _register(self, port: int) -> None:
        try:
            live = await self._api.get(f"{_API_SERVICES}/{_REGISTRATION}")
        except RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            await self._create(_SERVICES, _service())
            await self._create(_API_SERVICES, _registration(port))
            return
        registered = live["spec"].get("service") or {}
        ours = {key: registered.get(key) for key in _SERVICE} == _SERVICE
        if ours and registered.get("port") != port:
            change = {"spec": {"service": {"port": port}}}
            await self._api.patch(f"{_API_SERVICES}/{_REGISTRATION}", change)

    async def _create(self, where: str, body: Document) -> None:
        try:
            # As a person's `kubectl apply` would: whoever brings a metrics server takes over.
            await self._api.create(where, body, {"fieldManager": "kubectl-client-side-apply"})
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise

    # -- answers ----------------------------------------------------------------------------------

    async def _resources(self, request: web.Request) -> web.Response:
        return web.json_response(resource_list())

    async def _list_nodes(self, request: web.Request) -> web.Response:
        items = [node_usage(node, self._kubelet.pods(node), clock()) for node in self._nodes]
        return _list("NodeMetricsList", items)

    async def _show_node(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._nodes:
            return _not_found(f'nodes "{name}" not found')
        return web.json_response(node_usage(name, self._kubelet.pods(name), clock()))

    async def _list_pods(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace", "")
        selector = request.query.get("labelSelector", "")
        pods = [pod for node in self._nodes for pod in self._kubelet.pods(node)]
        try:
            chosen = [
                pod
                for pod in pods
                if namespace in {"", pod["metadata"]["namespace"]}
                and selects(selector, pod["metadata"].get("labels") or {})
            ]
        except ValueError as error:
            return web.Response(status=HTTPStatus.BAD_REQUEST, text=str(error))
        return _list("PodMetricsList", filter(None, (pod_usage(pod, clock()) for pod in chosen)))

    async def _show_pod(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        pod = self._kubelet.find(request.match_info["namespace"], name)
        usage = pod_usage(pod.document, clock()) if pod else None
        return web.json_response(usage) if usage else _not_found(f'pods "{name}" not found')


def _list(kind: str, items: Iterable[Document]) -> web.Response:
    answer = {"kind": kind, "apiVersion": API_VERSION, "metadata": {}, "items": list(items)}
    return web.json_response(answer)


def _not_found(message: str) -> web.Response:
    answer = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "NotFound",
        "code": HTTPStatus.NOT_FOUND,
        "message": message,
    }
    return web.json_response(answer, status=HTTPStatus.NOT_FOUND)


def _service() -> Document:
    """Where the API server finds us: it resolves this kind of Service by itself."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_SERVICE, "labels": {SIMULATED: "true"}},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }


def _registration(port: int) -> Document:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _REGISTRATION, "labels": {SIMULATED: "true"}},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "service": {**_SERVICE, "port": port},
            # The connection stays on the loopback address; our certificate is for that address,
            # and the API server would look for the Service's name in it.
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
