# One image for worker and bridge. Every distribution in it is named with its hash in requirements.lock.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/build && python -m venv /opt/pilothouse
COPY deploy/build.lock requirements.lock /src/
RUN /opt/build/bin/pip install --require-hashes --only-binary :all: -r /src/build.lock \
 && /opt/pilothouse/bin/pip install --require-hashes --only-binary :all: -r /src/requirements.lock
COPY pyproject.toml README.md LICENSE worker.py /src/
COPY activities /src/activities
COPY pilothouse /src/pilothouse
COPY workflows /src/workflows
COPY examples /src/examples
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist /src \
 && /opt/pilothouse/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/pilothouse/bin/pip uninstall --yes pip

FROM python:${PYTHON}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin pilothouse \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/pilothouse
COPY --from=build /opt/pilothouse /opt/pilothouse
ENV PATH=/opt/pilothouse/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PILOTHOUSE_DATA_DIR=/var/lib/pilothouse \
    PILOTHOUSE_CACHE_DIR=/tmp/pilothouse
USER 10001:10001
WORKDIR /tmp
VOLUME /var/lib/pilothouse
CMD ["python", "-m", "worker"]
