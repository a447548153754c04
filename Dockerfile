# syntax=docker/dockerfile:1
#
# nst_keras in a container that needs no network and writes only to /work:
#
#   docker build --target cpu -t nst .
#   docker run --rm --network none --read-only --tmpfs /tmp -v "$PWD:/work" --user "$(id -u):$(id -g)" \
#     nst --content=photo.jpg --style=painting.jpg
#
# For NVIDIA GPUs, build with `--target gpu` and run with `--gpus all`.

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# Keeps what it compiles below /work, as the rest is read-only. TensorFlow looks a home folder up.
FROM python:${PYTHON}-slim AS base
ENV HOME=/work \
    KERAS_HOME=/tmp/keras \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --home-dir /work --no-create-home painter \
    && install -d -o painter -g painter /work

FROM base AS gpu
# hadolint ignore=DL3013  # the wheel is the one that was built above
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    set -- /wheels/*.whl && pip install --no-cache-dir --compile "$1[cuda]"
USER 1000:1000
WORKDIR /work
VOLUME /work
ENTRYPOINT ["nst"]

# The last one is built if no target is named.
FROM base AS cpu
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --compile /wheels/*.whl
USER 1000:1000
WORKDIR /work
VOLUME /work
ENTRYPOINT ["nst"]
