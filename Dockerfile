# One image for the controller and the speaker; the first argument says which.
#
# BASE is any image with Python 3.11 or later as python3, and its venv module for the first stage.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/lbprovider
COPY pyproject.toml README.md LICENSE ./
COPY config/crd ./config/crd
COPY config/rbac ./config/rbac
COPY lbprovider ./lbprovider
# pip compiles what it installs, as the root will be read-only, and then leaves: nothing is installed later.
RUN /opt/lbprovider/bin/pip install --no-cache-dir --disable-pip-version-check . \
 && /opt/lbprovider/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
# What a base brings to install things with: the official Python image its own pip, Debian's python3-venv its wheels.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
    /usr/lib/python3*/ensurepip /usr/share/python-wheels
COPY --from=build /opt/lbprovider /opt/lbprovider
ENV PATH=/opt/lbprovider/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="lbprovider" \
      org.opencontainers.image.description="Services of type LoadBalancer on bare metal" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# The speaker's manifest says 0: only root has capabilities in a container.
USER 65534:65534
ENTRYPOINT ["lbprovider"]
