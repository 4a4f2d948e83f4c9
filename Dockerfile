# The app for a server: docker build -t cellcutter . && docker run -p 8501:8501 -v runs:/runs cellcutter
FROM python:3.13-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt "streamlit[auth]"

FROM python:3.13-slim-bookworm
# The compiler, which PyMaxflow needs where it has no wheel (ARM), stays in the other stage.
COPY --from=build /venv /venv
RUN useradd --create-home --uid 1000 cellcutter && install -d -o cellcutter -g cellcutter /runs
WORKDIR /app
COPY . .
RUN python -m compileall -q .
USER cellcutter
VOLUME /runs
ENV PATH=/venv/bin:$PATH \
    CELLCUTTER_RUNS=/runs \
    CELLCUTTER_PIXEL_LIMIT=16777216 \
    CELLCUTTER_RUN_LIMIT=1000 \
    CELLCUTTER_DISK_LIMIT=50GB \
    CELLCUTTER_TIME_LIMIT=7200 \
    CELLCUTTER_PEOPLE=many \
    CELLCUTTER_PERSON_RUNS=200 \
    CELLCUTTER_PERSON_DISK=5GB \
    CELLCUTTER_PERSON_TIME=14400 \
    CELLCUTTER_UPLOAD_DAYS=30
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", \
    "import os, posixpath, urllib.request; base = os.environ.get('STREAMLIT_SERVER_BASE_URL_PATH', ''); \
    urllib.request.urlopen(posixpath.join('http://127.0.0.1:8501', base.strip('/'), '_stcore/health'), timeout=3)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.headless=true"]
