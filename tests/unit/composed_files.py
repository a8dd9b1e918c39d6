"""Compose files for tests: the shapes in which a build can be written, and what is essential of
files in public repositories, whose images have a registry and the tag of ci-deploy here."""

from __future__ import annotations

from typing import NamedTuple

from ci_deploy.commands.builds import Image

WEB = "r.example.com/acme/web"
IMAGE = f"image: '{WEB}:${{DEPLOY_TAG}}'"


def web(context: str = ".", dockerfile: str = "", target: str = "", *args: str) -> Image:
    return Image(WEB, context, dockerfile, target, args)


# The text of compose.yml, with IMAGE for `%s`, and the image that it builds.
BUILDS: list[tuple[str, Image]] = [
    ("services: {web: {build: api, %s}}", web("api")),
    ('"services": {"web": {"build": {"context": "api"}, "image": "%s"}}', web("api")),
    ("services:\n  'web':\n    'build':   ./api/   # ours\n    %s # too", web("api")),
    ("\ufeffservices:\r\n  web:\r\n    build: api\r\n    %s\r\n", web("api")),
    (
        "services:\n  web:\n    %s\n    build:\n      # here\n      context: >-\n        api\n",
        web("api"),
    ),
    ('services:\n\n    web:\n\n        build: "api"\n\n        %s\n', web("api")),
    ("services:\n  web:\n    %s\n    build:\n      target: run", web(".", "", "run")),
    ("services: {web: {%s, build: {dockerfile: docker/Prod}}}", web(".", "docker/Prod")),
    (
        "services: {web: {%s, build: {context: api, dockerfile: ../Prod}}}",
        web("api", "../Prod"),
    ),
    ("services: {web: {%s, build: 'my api (new)'}}", web("my api (new)")),
    ("services: {web: {%s, build: ./-api}}", web("-api")),
    # anchors and extensions
    ("x-b: &b {context: api}\nservices: {web: {build: *b, %s}}", web("api")),
    ("x-a: {b: {c: [&b {build: api}]}}\nservices: {web: {<<: *b, %s}}", web("api")),
    (
        "x-a: [&a {build: lib}, &b {build: api, %s}]\nservices: {web: {<<: [*b, *a]}}",
        web("api"),
    ),
    (
        (
            "x-a: &a {build: &b {context: api, target: dev}}\n"
            "services: {web: {<<: *a, build: {<<: *b, target: run}, %s}}"
        ),
        web("api", "", "run"),
    ),
    ("services: {web: {build: !override {context: api}, %s, ports: !reset []}}", web("api")),
    ("services: {web: {build: !here api, %s, x: !secret {a: 1}}}", web("api")),
    ("services: {web: {build: lib, build: api, %s}}", web("api")),
    # build arguments, as they are written
    (
        "services: {web: {%s, build: {args: {V: 3.10, T: True, A: on, E: '', D: 2024-01-01}}}}",
        web(".", "", "", "V=3.10", "T=true", "A=on", "E=", "D=2024-01-01"),
    ),
    (
        "services: {web: {%s, build: {args: [A=b=c, 'B=it is', C=]}}}",
        web(".", "", "", "A=b=c", "B=it is", "C="),
    ),
    (
        "services: {web: {%s, build: {args: {A: 1}, no_cache: true, x-a: 1}}}",
        web(".", "", "", "A=1"),
    ),
    # documents of one file are merged
    (
        "services: {web: {build: api}}\n---\nservices: {web: {%s, build: {target: a}}}",
        web("api", "", "a"),
    ),
    # extends
    ("services: {base: {build: api}, web: {extends: base, %s}}", web("api")),
    ("services: {base: {build: api, %s}, web: {extends: {service: base}}}", web("api")),
    (
        "services: {web: {extends: {file: lib/base.yml, service: b}, %s}}",
        web("lib/sub", "", "t"),
    ),
    ("services: {web: {extends: {file: lib/base.yml, service: far}, %s}}", web("api")),
    (
        "services: {web: {extends: {file: lib/base.yml, service: b}, %s, build: api}}",
        web("api", "", "t"),
    ),
    ("services: {web: {extends: web, build: api, %s}}", web("api")),
    # include
    ("include: [lib/web.yml]", web("lib")),
    ("include:\n  - path: lib/web.yml", web("lib")),
    ("include: [{path: lib/web.yml, project_directory: .}]", web(".")),
    ("include: [{path: [lib/web.yml, lib/more.yml]}]", web("lib", "", "more")),
    ("include: [loop.yml, lib/web.yml]", web("lib")),
]
# What Compose refuses, or reads otherwise: a cycle, keys twice, unknown tags, numbers.
NOT_COMPOSE = ("web: {extends: web", "build: lib, build", "!here", "V: 3.10", "loop.yml")


def project(text: str) -> dict[str, str]:
    """A project with that compose.yml, and whatever it extends, includes or builds."""
    text = text.replace('"%s"', f'"{WEB}:${{DEPLOY_TAG}}"').replace("%s", IMAGE)
    folders = (".", "api", "lib", "lib/sub", "my api (new)", "-api")
    return {
        "lib/base.yml": "services:\n  b: {build: {context: sub, target: t}}\n"
        "  far: {extends: {file: ../far/base.yml, service: x}}\n",
        "far/base.yml": "services: {x: {build: ../api}}",
        "lib/web.yml": f"services: {{web: {{build: {{}}, {IMAGE}}}}}",
        "lib/more.yml": "services: {web: {build: {target: more}}}",
        "loop.yml": "include: [loop.yml, compose.yml]",
        "compose.yml": text,
        **dict.fromkeys([*(f"{each}/Dockerfile" for each in folders), "Prod", "docker/Prod"], ""),
    }


class Real(NamedTuple):
    """Files, those to use (else what `init` chooses), the lines that build, and the doubts."""

    files: dict[str, str]
    lines: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    use: tuple[str, ...] = ()


def build(image: str, rest: str, before: str = "") -> str:
    return f'docker build --push {before}--tag "{image}:$TAG" {rest}'


SUPERSET = """
x-superset-image: &superset-image r.example.com/apache/superset:${DEPLOY_TAG:-latest-dev}
x-superset-user: &superset-user root
x-superset-volumes: &superset-volumes
  # /app/pythonpath_docker will be appended to the PYTHONPATH in the final container
  - ./docker:/app/docker

version: "3.7"
services:
  superset:
    image: *superset-image
    user: *superset-user
    volumes: *superset-volumes
  superset-websocket:
    container_name: superset_websocket
    build: ./superset-websocket
    image: r.example.com/apache/superset-websocket:${DEPLOY_TAG}
  superset-init:
    image: *superset-image
    build:
      context: .
      target: dev
"""
SENTRY = """
x-restart-policy: &restart_policy
  restart: unless-stopped
x-sentry-defaults: &sentry_defaults
  <<: *restart_policy
  image: r.example.com/sentry/local:${DEPLOY_TAG}
  platform: ${DOCKER_PLATFORM:-}
  build:
    context: ./sentry
    args:
      - SENTRY_IMAGE
  depends_on: &sentry_depends_on
    clickhouse:
      condition: service_healthy
x-sentry-defaults-feature-complete: &sentry_defaults-feature-complete
  <<: *sentry_defaults
  depends_on:
    <<: *sentry_depends_on
services:
  clickhouse:
    image: r.example.com/sentry/clickhouse:${DEPLOY_TAG}
    build:
      context: ./clickhouse
      args:
        BASE_IMAGE: "altinity/clickhouse-server:23.8.11.29.altinitystable"
  web:
    <<: *sentry_defaults-feature-complete
    ulimits: {nofile: {soft: 4096, hard: 4096}}
  worker:
    <<: *sentry_defaults
"""
CHATWOOT = """
version: '3'
services:
  base: &base
    build:
      context: .
      dockerfile: ./docker/Dockerfile
      args:
        BUNDLE_WITHOUT: ''
        EXECJS_RUNTIME: 'Node'
        RAILS_SERVE_STATIC_FILES: 'false'
    tty: true
    image: r.example.com/chat/woot:${DEPLOY_TAG}
  rails:
    <<: *base
    build:
      context: .
      dockerfile: ./docker/dockerfiles/rails.Dockerfile
    image: r.example.com/chat/rails:${DEPLOY_TAG}
    command: ["bundle", "exec", "rails", "s", "-p", "3000", "-b", "0.0.0.0"]
  sidekiq:
    <<: *base
"""
FASTAPI = """
services:

  prestart:
    image: '${DOCKER_IMAGE_BACKEND?Variable not set}:${DEPLOY_TAG-latest}'
    build:
      context: ./backend
    command: bash scripts/prestart.sh

  backend:
    image: '${DOCKER_IMAGE_BACKEND?Variable not set}:${DEPLOY_TAG-latest}'
    healthcheck:
      test: [ "CMD", "curl", "-f", "http://localhost:8000/api/v1/utils/health-check/" ]

    build:
      context: ./backend
    labels:
      - traefik.http.routers.${STACK_NAME?Variable not set}-backend.rule=Host(`api.${DOMAIN}`)

  frontend:
    image: '${DOCKER_REGISTRY}/acme/frontend:${DEPLOY_TAG-latest}'
    build:
      context: ./frontend
      args:
        - VITE_API_URL=https://api.${DOMAIN?Variable not set}
        - NODE_ENV=production
"""
POSTHOG = """
services:
    worker:
        extends:
            file: docker-compose.base.yml
            service: worker
        build: .
        volumes:
            - .:/app/posthog
    capture:
        extends:
            file: docker-compose.base.yml
            service: capture
"""
POSTHOG_BASE = """
services:
    worker: &worker
        command: ./bin/docker-worker-celery --with-scheduler
        image: '${DOCKER_REGISTRY}/posthog/posthog:${DEPLOY_TAG}'
        environment: &worker_env
            OTEL_SDK_DISABLED: 'true'
    web:
        <<: *worker
    capture:
        image: '${DOCKER_REGISTRY}/posthog/capture:${DEPLOY_TAG}'
        build:
            context: rust/
            args:
                BIN: capture
"""
IMMICH = """
name: immich-dev

services:
  immich-server:
    command: ['/usr/src/app/bin/immich-dev']
    image: r.example.com/immich/server:${DEPLOY_TAG}
    # extends:
    #   file: hwaccel.transcoding.yml
    #   service: cpu # set to one of [nvenc, quicksync] for accelerated transcoding
    build:
      context: ../
      dockerfile: server/Dockerfile
      target: dev
  immich-machine-learning:
    image: r.example.com/immich/machine-learning:${DEPLOY_TAG}
    build:
      context: ../machine-learning
      dockerfile: Dockerfile
      args:
        - DEVICE=cpu # set to one of [armnn, cuda] for accelerated inference
"""
FRAPPE = """
x-customizable-image: &customizable_image
  # By default the image used only contains the `frappe` and `erpnext` apps.
  image: frappe/erpnext:${DEPLOY_TAG:?No ERPNext version set}

x-depends-on-configurator: &depends_on_configurator
  depends_on:
    configurator:
      condition: service_completed_successfully

x-backend-defaults: &backend_defaults
  <<: [*depends_on_configurator, *customizable_image]
  volumes:
    - sites:/home/frappe/frappe-bench/sites

services:
  backend:
    <<: *backend_defaults
    build: { context: images/custom, dockerfile: Containerfile, args: { PYTHON_VERSION: "3.10" } }
  frontend:
    <<: [*customizable_image]
"""
OTEL = """
x-default-logging: &logging
  options:
    tag: "{{.Name}}"
services:
  ad:
    image: ${DOCKER_REGISTRY}/demo:${DEPLOY_TAG}-ad
    build:
      context: ./
      dockerfile: ${AD_FILE}
      cache_from:
        - ${IMAGE_NAME}:${IMAGE_VERSION}-ad
      args:
        JAVA_AGENT: ${OTEL_JAVA_AGENT_VERSION}
    logging: *logging
  cart:
    image: ${DOCKER_REGISTRY}/demo:${DEPLOY_TAG}-cart
    build:
      context: ./
      dockerfile: ./src/cart/src/Dockerfile
"""
RAILS = """
x-app: &default-app
  build:
    context: "."
    target: "app"
    args:
      - "UID=${UID:-1000}"
      - "NODE_ENV=production"
  image: "${DOCKER_REGISTRY}/hello/app:${DEPLOY_TAG}"
  tty: true

services:
  web:
    <<: *default-app
    profiles: ["web"]
  worker:
    <<: *default-app
    command: "bundle exec sidekiq -C config/sidekiq.yml"
    entrypoint: []
"""
DJANGO = """
volumes:
  production_postgres_data: {}


services:
  django: &django
    build:
      context: .
      dockerfile: ./compose/production/django/Dockerfile
    image: r.example.com/acme/django:${DEPLOY_TAG}

  migrations:
      <<: *django
      ports: []

  postgres:
    build:
      context: .
      dockerfile: ./compose/production/postgres/Dockerfile
    image: r.example.com/acme/postgres:${DEPLOY_TAG}
"""
REAL = {
    "apache/superset": Real(
        {"docker-compose.yml": SUPERSET, "Dockerfile": "", "superset-websocket/Dockerfile": ""},
        (
            build("r.example.com/apache/superset", ".", "--target dev "),
            build("r.example.com/apache/superset-websocket", "superset-websocket"),
        ),
    ),
    "getsentry/self-hosted": Real(
        {"docker-compose.yml": SENTRY, "sentry/Dockerfile": "", "clickhouse/Dockerfile": ""},
        (
            build(
                "r.example.com/sentry/clickhouse",
                "clickhouse",
                "--build-arg BASE_IMAGE=altinity/clickhouse-server:23.8.11.29.altinitystable ",
            ),
            build("r.example.com/sentry/local", "sentry"),
        ),
        ("the line lacks --build-arg for `SENTRY_IMAGE`, set by a variable",),
    ),
    "chatwoot/chatwoot": Real(
        {
            "docker-compose.yaml": CHATWOOT,
            "docker/Dockerfile": "",
            "docker/dockerfiles/rails.Dockerfile": "",
        },
        (
            build(
                "r.example.com/chat/woot",
                ".",
                "--file docker/Dockerfile --build-arg BUNDLE_WITHOUT= "
                "--build-arg EXECJS_RUNTIME=Node --build-arg RAILS_SERVE_STATIC_FILES=false ",
            ),
            build("r.example.com/chat/rails", ".", "--file docker/dockerfiles/rails.Dockerfile "),
        ),
    ),
    "fastapi/full-stack-fastapi-template": Real(
        {"docker-compose.yml": FASTAPI, "backend/Dockerfile": "", "frontend/Dockerfile": ""},
        (
            build("${DOCKER_IMAGE_BACKEND?Variable not set}", "backend"),
            build("R/acme/frontend", "frontend", "--build-arg NODE_ENV=production "),
        ),
        (
            "the job needs the variables in its name, ${DOCKER_IMAGE_BACKEND?Variable not set}",
            "the line lacks --build-arg for `VITE_API_URL`, set by a variable",
        ),
    ),
    "PostHog/posthog": Real(
        {
            "docker-compose.dev-full.yml": POSTHOG,
            "docker-compose.base.yml": POSTHOG_BASE,
            "Dockerfile": "",
            "rust/Dockerfile": "",
        },
        (
            build("R/posthog/posthog", "."),
            build("R/posthog/capture", "rust", "--build-arg BIN=capture "),
        ),
        use=("docker-compose.dev-full.yml",),
    ),
    "immich-app/immich": Real(
        {
            "docker/docker-compose.dev.yml": IMMICH,
            "server/Dockerfile": "",
            "machine-learning/Dockerfile": "",
        },
        (
            build("r.example.com/immich/server", ".", "--file server/Dockerfile --target dev "),
            build(
                "r.example.com/immich/machine-learning",
                "machine-learning",
                "--file machine-learning/Dockerfile --build-arg DEVICE=cpu ",
            ),
        ),
        use=("docker/docker-compose.dev.yml",),
    ),
    "frappe/frappe_docker": Real(
        {"compose.yaml": FRAPPE, "images/custom/Containerfile": ""},
        (
            build(
                "docker.io/frappe/erpnext",
                "images/custom",
                "--file images/custom/Containerfile --build-arg PYTHON_VERSION=3.10 ",
            ),
        ),
    ),
    "open-telemetry/opentelemetry-demo": Real(
        {"docker-compose.yml": OTEL, "src/cart/src/Dockerfile": ""},
        (
            'docker build --push --tag "R/demo:${TAG}-ad" .',
            'docker build --push --file src/cart/src/Dockerfile --tag "R/demo:${TAG}-cart" .',
        ),
        (
            (
                "its Dockerfile `${AD_FILE}` depends on a variable; "
                "the line lacks --build-arg for `JAVA_AGENT`, set by a variable"
            ),
        ),
    ),
    "nickjj/docker-rails-example": Real(
        {"compose.yaml": RAILS, "Dockerfile": ""},
        (build("R/hello/app", ".", "--target app --build-arg NODE_ENV=production "),),
        ("the line lacks --build-arg for `UID`, set by a variable",),
    ),
    "cookiecutter/cookiecutter-django": Real(
        {
            "docker-compose.production.yml": DJANGO,
            "compose/production/django/Dockerfile": "",
            "compose/production/postgres/Dockerfile": "",
        },
        (
            build("r.example.com/acme/django", ".", "--file compose/production/django/Dockerfile "),
            build(
                "r.example.com/acme/postgres", ".", "--file compose/production/postgres/Dockerfile "
            ),
        ),
    ),
}
