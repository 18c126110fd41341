#!/bin/sh
# Installs the drivers, ORMs and migration tools that tests/drivers.rs uses, into the cache of this repository.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cache=$root/.cache/drivers
mkdir -p "$cache/node" "$cache/java"

# Pinned, so that every machine tests the same.
python="psycopg[binary]==3.2.13 asyncpg==0.32.0 psycopg2-binary==2.9.13 SQLAlchemy==2.1.9 greenlet"
node="pg@8.23.1 pg-copy-streams@7.0.0 pg-query-stream@4.17.0 postgres@3.4.9"
jdbc=42.7.4

# ORMs and migration tools.
python="$python alembic==1.20.1 Django==5.2.19"
node="$node knex@3.3.0 sequelize@6.37.8 umzug@3.8.3 typeorm@1.1.1 drizzle-orm@0.45.4 drizzle-kit@0.31.11"
# Prisma 7 migrates with a program that npm does not have; 6 has the same for JavaScript's drivers.
node="$node prisma@7.10.1 @prisma/client@7.10.0 @prisma/adapter-pg@7.10.1"
node="$node prisma6@npm:prisma@6.19.3 prisma6-adapter-pg@npm:@prisma/adapter-pg@6.19.3"

# What reads /metrics, and knows what a dashboard of Grafana is.
python="$python prometheus-client==0.26.0"
node="$node @grafana/schema@13.2.3 typescript@5.9.3"

[ -x "$cache/python/bin/python" ] || python3 -m venv "$cache/python"
# shellcheck disable=SC2086
"$cache/python/bin/pip" install --quiet --disable-pip-version-check $python

# One with libpq 18, which knows OAUTHBEARER.
[ -d "$cache/libpq18/psycopg" ] ||
    "$cache/python/bin/pip" install --quiet --disable-pip-version-check --target "$cache/libpq18" "psycopg[binary]==3.3.9"

# A browser without a window, for the dashboard; the browser itself is the distribution's.
node="$node playwright-core@1.65.1"

[ -f "$cache/node/package.json" ] || echo '{"private": true}' >"$cache/node/package.json"
# shellcheck disable=SC2086
npm install --prefix "$cache/node" --silent --no-audit --no-fund $node

if [ ! -s "$cache/java/postgresql.jar" ]; then
    url=https://repo1.maven.org/maven2/org/postgresql/postgresql/$jdbc/postgresql-$jdbc.jar
    if ! curl -sSfL -o "$cache/java/new.jar" "$url" 2>/dev/null; then
        # The distribution's is older and does as well.
        work=$(mktemp -d)
        chmod 755 "$work"
        (cd "$work" && apt-get download -qq libpostgresql-jdbc-java 2>/dev/null && dpkg-deb -x ./*.deb .)
        cp -L "$work/usr/share/java/postgresql.jar" "$cache/java/new.jar"
        rm -rf "$work"
    fi
    mv "$cache/java/new.jar" "$cache/java/postgresql.jar"
fi

# Ruby's are the distribution's: which version they have is theirs to say.
if ! ruby -e 'require "active_record"; require "pg"' 2>/dev/null; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
        ruby ruby-activerecord ruby-pg >/dev/null
fi

if [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    # Without it the checks of the dashboard fail and say so; the others run.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
        chromium fonts-inter >/dev/null || echo "no Chromium for the dashboard's checks: install it" >&2
fi

# What the console is compared with and read by. PgBouncer is not installed here, because its package
# starts a service: a program of that name is used if there is one (or PGBOUNCER).
exporter=github.com/prometheus-community/pgbouncer_exporter@v0.12.1
if command -v go >/dev/null && [ ! -x "$cache/go/bin/pgbouncer_exporter" ]; then
    GOBIN=$cache/go/bin go install "$exporter" || echo "no $exporter: its checks are left out"
fi

# Prometheus and its promtool: only unpacked, so that no service of that name is started.
if ! command -v prometheus >/dev/null && [ ! -x "$cache/prometheus/usr/bin/prometheus" ]; then
    work=$(mktemp -d)
    chmod 755 "$work"
    if (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg-deb -x ./*.deb new); then
        rm -rf "$cache/prometheus"
        mv "$work/new" "$cache/prometheus"
    else
        echo "no Prometheus for its checks: install it" >&2
    fi
    rm -rf "$work"
fi

# The one that has to be built: a program of its own, with the versions of its Cargo.lock.
CARGO_TARGET_DIR=$cache/sqlx cargo build --locked --quiet --manifest-path "$root/tests/drivers/sqlx/Cargo.toml"
