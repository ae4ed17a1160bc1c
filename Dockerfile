# One image, two entry points: `sidecar` (the default) and `control-plane`. Built and run on the same Debian, so that the
# virtual environment can be copied as it is. Steps are checked by `make image-check` in an empty Debian tree.

FROM debian:trixie-slim AS build
# Debian's security updates matter more here than repeating last month's versions; Python packages are pinned by hash.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Two environments: /opt/layout-mutation is shipped and has no pip, /opt/build is left behind.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/layout-mutation
COPY requirements requirements
RUN /opt/build/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements/build.lock \
    && /opt/build/bin/pip --python /opt/layout-mutation/bin/python install \
        --no-deps --only-binary :all: --require-hashes -r requirements/runtime.lock
COPY package.json package-lock.json .npmrc ./
RUN python3 -m requirements.install scripts --venv /opt/build
COPY . .
ENV PATH=/opt/build/bin:$PATH
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /opt/wheel . \
    && pip --python /opt/layout-mutation/bin/python install --no-deps --no-index /opt/wheel/*.whl \
    && python -m compileall -q /opt/layout-mutation/lib

FROM debian:trixie-slim
LABEL org.opencontainers.image.title="Layout Mutation Engine" \
    org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin engine \
    && install --directory --owner engine --group engine --mode 0700 /var/lib/layout-mutation
COPY --from=build /opt/layout-mutation /opt/layout-mutation
COPY deploy/healthcheck.py /opt/layout-mutation/healthcheck.py
# The root filesystem may be read-only: state is in /var/lib/layout-mutation, and nothing else is written.
# The MALLOC_ values keep freed memory with the allocator: pages are parsed in buffers of the same sizes all day.
ENV PATH=/opt/layout-mutation/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_TRIM_THRESHOLD_=268435456 \
    MALLOC_MMAP_THRESHOLD_=268435456 \
    MALLOC_TOP_PAD_=67108864 \
    SIDECAR_LISTEN=0.0.0.0:8080 \
    SIDECAR_ADMIN_LISTEN=127.0.0.1:8090 \
    SIDECAR_SNAPSHOT_DIR=/var/lib/layout-mutation/snapshots \
    CONTROL_PLANE_LISTEN=0.0.0.0:8081 \
    CONTROL_PLANE_DATA_DIR=/var/lib/layout-mutation/control-plane
WORKDIR /var/lib/layout-mutation
USER 10001:10001
VOLUME ["/var/lib/layout-mutation"]
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-S", "/opt/layout-mutation/healthcheck.py"]
ENTRYPOINT ["layout-mutation"]
CMD ["sidecar"]
