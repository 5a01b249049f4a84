# The image of every keepfit service in docker-compose.yaml: the locked packages, then keepfit's own wheel.
FROM python:3.11-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY include include
RUN pip wheel --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
# libgomp: LightGBM and scikit-learn. git: a DAG bundle may come from a repository.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/keepfit
COPY requirements.txt .
# Compiled here: without it every process would compile every import anew.
RUN pip install --no-cache-dir --require-hashes --compile --requirement requirements.txt
COPY --from=wheel /wheel /wheel
RUN pip install --no-cache-dir --no-deps --compile /wheel/*.whl \
    && useradd --create-home --uid 50000 keepfit \
    && mkdir home airflow \
    && chown keepfit home airflow
USER keepfit
ENV AIRFLOW_HOME=/opt/keepfit/airflow PYTHONUNBUFFERED=1
CMD ["keepfit", "--help"]
