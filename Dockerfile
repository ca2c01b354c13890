# The serving image: the exported model, the service, its locked libraries, and nothing that could build or fetch more.
#
#   docker build --build-arg COMMIT=$(git rev-parse HEAD) --tag delivery .
#   docker run --read-only --cap-drop ALL --publish 127.0.0.1:8000:8000 --env SERVE_TOKENS=secret delivery
#
# Behind a mirror add --build-arg PIP_INDEX_URL=...; without a network put the wheels of requirements/serve.txt
# (or sklearn.txt) into wheels/ and add --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/build.
# `delivery bump` raises the digest to the newest one of the tag.
ARG BASE_IMAGE=python:3.11-slim@sha256:90744cff8f32887f075c47d747a173ff333e9e98801667af93c357fa9f5e28ff

# The model says which libraries load it: ONNX Runtime's, or scikit-learn (export.runtime: sklearn). A stage
# of its own, so that another model of the same kind leaves the layer of the libraries as it is.
FROM ${BASE_IMAGE} AS chosen
WORKDIR /build
COPY requirements/serve.txt requirements/sklearn.txt artifacts/export/manifest.json /build/
RUN mkdir /chosen && cp "$(python3 -c 'import json; print({"onnx": "serve", "sklearn": "sklearn"}[json.load(open("manifest.json"))["runtime"]])').txt" \
      /chosen/requirements.txt

FROM ${BASE_IMAGE} AS libraries
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
WORKDIR /build
COPY requirements/serve.txt wheel[s] /build/
COPY --from=chosen /chosen/requirements.txt /build/
RUN python3 -m venv tools \
 && tools/bin/pip install --no-cache-dir --disable-pip-version-check --no-compile --require-hashes --no-deps \
      --target /app/lib --requirement requirements.txt
# What no start of the service ever opens: half of the size. ONNX Runtime's C library is for C programs; the
# Python module has its own. pandas and scipy import numpy.typing and numpy.f2py.
RUN cd /app/lib \
 && rm -rf bin onnxruntime/capi/libonnxruntime.so.* onnxruntime/transformers onnxruntime/tools \
      onnxruntime/quantization onnxruntime/datasets onnxruntime/backend numpy/_core/include \
 && if ! [ -d pandas ]; then rm -rf numpy/f2py numpy/typing; fi \
 && find . \( -name tests -o -name '*.pyi' -o -name '*.a' -o -name '*.c' -o -name '*.pyx' \) -prune -exec rm -rf {} +

FROM ${BASE_IMAGE} AS root
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/lib/python3*/ensurepip \
      /usr/lib/python3/dist-packages/* /usr/share/python-wheels /usr/local/bin/pip* /usr/local/bin/idle* \
      /usr/local/bin/2to3* /usr/local/bin/wheel* /usr/local/include /usr/share/doc /usr/share/man /usr/share/locale \
      /usr/share/info /var/lib/apt/lists /var/cache /var/log /root/.cache \
 && mkdir -p /var/cache /var/log /log && chown 10001:10001 /log
COPY --from=libraries /app/lib /app/lib
COPY params.yaml /app/params.yaml
COPY src /app/src
COPY artifacts/export /app/artifacts/export
WORKDIR /app
ENV PYTHONPATH=/app/src:/app/lib PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
# One start while the file system can still be written: it proves that the model loads here, and leaves its bytecode.
# Then every file gets the same date, so that the same content is the same layer.
RUN python3 -m delivery.service.warm \
 && rm -rf /root/.cache && find /tmp -mindepth 1 -delete \
 && find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /etc/hosts -o -path /etc/hostname \
      -o -path /etc/resolv.conf \) -prune -o -exec touch --no-dereference --date=@0 {} +

FROM scratch
COPY --from=root / /
WORKDIR /app
# numpy and ONNX Runtime keep to one thread: with two, two replicas on two cores fall to a tenth of their rate.
ENV LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin PYTHONPATH=/app/src:/app/lib PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 SERVE_HOST=0.0.0.0 SERVE_PORT=8000
ARG COMMIT=""
ARG VERSION=""
ARG DATA=""
ENV SERVE_COMMIT=${COMMIT} SERVE_VERSION=${VERSION} SERVE_DATA=${DATA}
LABEL org.opencontainers.image.title="delivery" \
      org.opencontainers.image.description="A model behind HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}" \
      delivery.data="${DATA}"
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python3", "-S", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['SERVE_PORT']), timeout=2); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["python3", "-m", "delivery.service"]
