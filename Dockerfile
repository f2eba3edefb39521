# One image for the controller and the speaker; the first argument says which.
#
# BASE is any image with Python 3.11 or later as python3, and its venv module for the first stages.
ARG BASE=docker.io/library/python:3.13-slim

# The list alone, so that another edit of the file installs nothing anew.
FROM ${BASE} AS requirements
COPY pyproject.toml ./
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
    >/requirements.txt

# What we depend on, apart from our own code; and pip, outside of what is shipped.
FROM ${BASE} AS dependencies
RUN python3 -m venv /opt/pip \
 && python3 -m venv --without-pip /opt/lbprovider
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_PYTHON=/opt/lbprovider/bin/python
COPY --from=requirements /requirements.txt /
# Compiled here, as the root will be read-only; without time stamps, as not every tool that moves layers keeps them.
RUN /opt/pip/bin/pip install --requirement /requirements.txt \
 && /opt/lbprovider/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/lbprovider/lib

# Our own, as files to lay over them.
FROM dependencies AS code
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY config/crd ./config/crd
COPY config/rbac ./config/rbac
COPY lbprovider ./lbprovider
RUN /opt/pip/bin/pip install --no-deps --root /code . \
 && /opt/lbprovider/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /code /code

FROM ${BASE}
# What a base brings to install things with; our environment looks past the base's own site-packages. The official
# image ships its standard library without compiled files, which would cost each start 0.4 s.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip \
    /usr/lib/python3*/ensurepip /usr/share/python-wheels \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ENV PATH=/opt/lbprovider/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The speaker's manifest says 0: only root has capabilities in a container.
USER 65534:65534
ENTRYPOINT ["lbprovider"]
COPY --from=dependencies /opt/lbprovider /opt/lbprovider
COPY --from=code /code /
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="lbprovider" \
      org.opencontainers.image.description="Services of type LoadBalancer on bare metal" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
