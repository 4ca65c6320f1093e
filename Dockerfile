# The operator's image. serving_image/Dockerfile makes the one that the Ray pods run.
# Any Debian with python3 (3.11 or newer) and python3-venv can be the base.
ARG BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/rayspan UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
    UV_NO_CACHE=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --quiet uv==0.13.8
WORKDIR /src
# The dependencies make a layer of their own, which a change of the code leaves as it is.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-default-groups --no-install-project --python "$(command -v python3)"
COPY README.md LICENSE ./
COPY operator ./operator
RUN /opt/uv/bin/uv sync --frozen --no-default-groups --no-editable

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="rayspan" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/rayspan /opt/rayspan
# kopf asks for the name of the user, and the one below has no entry in /etc/passwd.
ENV PATH=/opt/rayspan/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 USER=rayspan
WORKDIR /
USER 65532:65532
ENTRYPOINT ["rayspan"]
CMD ["run"]
