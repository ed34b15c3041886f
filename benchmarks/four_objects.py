"""The objects that the benchmarks deploy: applications of four objects that start no Pod."""

from pathlib import Path

import yaml
from pydantic import JsonValue

MARKER = "bench/marker"
"""The annotation that says which commit an object comes from; every object carries it."""
OBJECTS_EACH = 4
COLLECTIONS = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
}
"""Where the API server serves each of the four kinds."""

_APPLICATION = """\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}, annotations: {{bench/marker: "{marker}"}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, annotations: {{bench/marker: "{marker}"}}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: {namespace}, annotations: {{bench/marker: "{marker}"}}}}
spec:
  rules:
    - host: {name}.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {{service: {{name: {name}, port: {{name: http}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}, annotations: {{bench/marker: "{marker}"}}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      serviceAccountName: {name}
      containers:
        - name: app
          image: "ghcr.io/example/app:{marker}"
          ports: [{{containerPort: 8080}}]
"""


def write_applications(folder: Path, count: int, marker: str, namespace: str) -> None:
    """Write one file an application, `app-0000/app.yaml` and so on; what is there is replaced."""
    for name in _names(count):
        file = folder / name / "app.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(name, marker, namespace), encoding="utf-8")


def objects(count: int, marker: str, namespace: str) -> list[dict[str, JsonValue]]:
    """The same objects as data, application by application."""
    return [
        document
        for name in _names(count)
        for document in yaml.load_all(_text(name, marker, namespace), yaml.CSafeLoader)
    ]


def _names(count: int) -> list[str]:
    return [f"app-{number:04d}" for number in range(count)]


def _text(name: str, marker: str, namespace: str) -> str:
    return _APPLICATION.format(name=name, marker=marker, namespace=namespace)
