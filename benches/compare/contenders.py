"""What is compared: how each is found, configured and started."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys

from . import debian, postgres, processes
from .postgres import DATABASE, PASSWORD, USER
from .processes import Failed, Process

POOL_SIZE = 20
# More than the idle clients of the memory test.
MAX_CLIENTS = 10_000
# Statements that PgBouncer keeps on one server connection: as many as pgusher does.
MAX_PREPARED = 500
# Since when it knows any in transaction mode.
PREPARES = (1, 21)
# Clients that may wait to be let in, as many as pgusher allows: with PgBouncer's usual 128 the
# kernel makes some of a storm come again after a second.
BACKLOG = 4096
TENANT_SETTING = "app.tenant_id"
# How those are called whose clients come with TLS, after their names without.
ENCRYPTED = ", TLS"
# How those are called that have a tenant, after their names without.
INJECTED, BY_HAND = ", tenant injected", ", SET LOCAL by hand"
# How those are called that get twice the share of the processors, after their names.
HEAVY = ", twice the weight"
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Direct:
    """No proxy at all: what PostgreSQL itself can do."""

    name, pools = "direct", False

    def __init__(self, server):
        self._server = server

    def start(self, _directory):
        """Nothing to start."""
        return Running(self._server.port)

    def refuses(self, _mode):
        """Nothing."""
        return None


class Floor:
    """A relay that only copies bytes, 1:1: what the kernel costs, and what tokio adds to that."""

    pools = False
    # What each is, for cargo: the last two words are the program's name.
    KINDS = {
        "tokio": ("--example", "floor"),
        "epoll": ("--example", "epoll_floor"),
        "io_uring": (
            "--manifest-path", "benches/uring/Cargo.toml", "--bin", "pgusher-uring-floor",
        ),
    }

    def __init__(self, server, kind):
        self._server = server
        *_, what, program = self.KINDS[kind]
        directory = build(*self.KINDS[kind])
        self._binary = os.path.join(directory, "examples" if what == "--example" else "", program)
        self.name = f"floor, {kind}"

    def start(self, directory):
        """`floor LISTEN UPSTREAM`"""
        port = processes.free_port()
        command = [self._binary, f"127.0.0.1:{port}", f"127.0.0.1:{self._server.port}"]
        log = os.path.join(directory, f"{os.path.basename(self._binary)}.log")
        return Running(port, Process(self.name, command, log, port))

    def refuses(self, _mode):
        """Nothing."""
        return None


class PgBouncer:
    """PgBouncer in transaction mode. Several processes share a port, and the pool among them."""

    pools = True

    def __init__(self, server, command, count=1, pool_size=POOL_SIZE):
        self._server, self._command, self._count = server, command, count
        self._pool_size = max(pool_size // count, 1)
        text = pgbouncer_version(command)
        self._can_prepare = numbers(text) >= PREPARES
        # A certificate and its key, for those who want TLS.
        self.tls = None
        self.name = f"PgBouncer {text}" + (f", {count} processes" if count > 1 else "")

    def start(self, directory):
        """Writes its two files and starts it."""
        port = processes.free_port()
        base = re.sub(r"[^a-z0-9]+", "-", self.name.lower())
        settings = os.path.join(directory, f"{base}.ini")
        users = os.path.join(directory, "pgbouncer-users.txt")
        with open(users, "w", encoding="ascii") as file:
            file.write(f'"{USER}" "{self._server.secret}"\n')
        with open(settings, "w", encoding="ascii") as file:
            file.write(
                "[databases]\n"
                f"{DATABASE} = host=127.0.0.1 port={self._server.port} dbname={DATABASE} "
                f"user={USER} password={PASSWORD}\n"
                "[pgbouncer]\n"
                f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
                f"so_reuseport = {int(self._count > 1)}\nlisten_backlog = {BACKLOG}\n"
                f"auth_type = scram-sha-256\nauth_file = {users}\n"
                f"pool_mode = transaction\ndefault_pool_size = {self._pool_size}\n"
                f"max_client_conn = {MAX_CLIENTS}\n"
                "log_connections = 0\nlog_disconnections = 0\n"
                + (f"max_prepared_statements = {MAX_PREPARED}\n" if self._can_prepare else "")
                + (
                    "client_tls_sslmode = require\n"
                    f"client_tls_cert_file = {self.tls[0]}\nclient_tls_key_file = {self.tls[1]}\n"
                    if self.tls
                    else ""
                )
            )
        for path in (users, settings):
            os.chmod(path, 0o644)
        user, started = postgres.server_user(), []
        try:
            for nth in range(self._count):
                log = os.path.join(directory, f"{base}-{nth}.log")
                command = [*self._command, settings]
                started.append(Process(self.name, command, log, port, user=user))
            if self._count > 1 and processes.are_grouped():
                # As one program with as many threads has.
                processes.weigh([process.pid for process in started])
        except BaseException:
            Running(port, *started).stop()
            raise
        return _asking_for_tls(self.tls, Running(port, *started))

    def refuses(self, mode):
        """Why it has no figure in a mode, if so."""
        if mode == "prepared" and not self._can_prepare:
            return "no prepared statements in transaction mode before PgBouncer 1.21"
        return None


class Pgusher:
    """pgusher in transaction mode with some number of workers.

    `limits` are lines of that section, if it has one.
    """

    pools = True

    def __init__(self, server, binary, workers, tenants=False, limits=(), pool_size=POOL_SIZE):
        self._server, self._binary, self._workers = server, binary, workers
        self._tenants, self._limits, self._pool_size = tenants, limits, pool_size
        self.tls = None
        self.name = f"pgusher, {workers} worker{'s' if workers > 1 else ''}"
        if tenants:
            self.name += INJECTED

    def start(self, directory):
        """Writes its configuration and starts it."""
        port = processes.free_port()
        # Each its own files: the last words of one must not be taken for another's.
        base = re.sub(r"[^a-z0-9]+", "-", self.name)
        settings = os.path.join(directory, f"{base}.toml")
        upstream = f"127.0.0.1:{self._server.port}/{DATABASE}?sslmode=disable"
        with open(settings, "w", encoding="ascii") as file:
            file.write(
                f'[listen]\naddress = "127.0.0.1:{port}"\nmax_clients = {MAX_CLIENTS}\n\n'
                f"[runtime]\nworkers = {self._workers}\n\n"
                f"[databases.{DATABASE}]\n"
                f'url = "postgres://{USER}:{PASSWORD}@{upstream}"\n'
                f'pool_mode = "transaction"\npool_size = {self._pool_size}\n\n'
                f'[users.{USER}]\npassword = "{self._server.secret}"\n'
                + (f'\n[tenant]\nsetting = "{TENANT_SETTING}"\n' if self._tenants else "")
                + "".join(f"{line}\n" for line in ("\n[limits]", *self._limits) if self._limits)
                + (
                    '\n[listen.tls]\nmode = "require"\n'
                    f'cert = "{self.tls[0]}"\nkey = "{self.tls[1]}"\n'
                    if self.tls
                    else ""
                )
            )
        log = os.path.join(directory, f"{base}.log")
        command = [self._binary, "serve", "--config", settings]
        running = Running(port, Process(self.name, command, log, port))
        if self._tenants:
            running.tenant_setting = TENANT_SETTING
            # As any client of libpq can, without a change in the application.
            running.environment["PGOPTIONS"] = f"-c {TENANT_SETTING}=acme"
        return _asking_for_tls(self.tls, running)

    def refuses(self, _mode):
        """Nothing."""
        return None


def encrypted(pooler, directory):
    """The same pooler, for clients with TLS. All of them show the same certificate."""
    cert, key = (os.path.join(directory, name) for name in ("tls.crt", "tls.key"))
    if not os.path.exists(cert):
        command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-out", cert, "-keyout", key]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"openssl makes no certificate: {done.stderr.strip()[-200:]}")
        # PgBouncer runs as another user.
        os.chmod(key, 0o644)
    pooler.tls = (cert, key)
    pooler.name += ENCRYPTED
    return pooler


def _asking_for_tls(tls, running):
    if tls:
        running.environment["PGSSLMODE"] = "require"
    return running


class ByHand:
    """The application does it itself: BEGIN, SET LOCAL, the query, COMMIT, each a round trip."""

    def __init__(self, way):
        self._way = way
        self.name, self.pools = f"{way.name}{BY_HAND}", way.pools

    def start(self, directory):
        """Starts what it goes through."""
        running = self._way.start(directory)
        running.script = os.path.join(directory, "by-hand.sql")
        with open(running.script, "w", encoding="ascii") as file:
            file.write(
                f"\\set aid random(1, {postgres.SCALE * 100_000})\n"
                f"BEGIN;\nSET LOCAL {TENANT_SETTING} = 'acme';\n"
                "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\nCOMMIT;\n"
            )
        return running

    def refuses(self, mode):
        """What it goes through does, and a pool where pgbench waits for each PREPARE.

        A thread of pgbench waits then for one client that needs a server connection, while others
        of its clients have all of them, in transactions that it does not go on with.
        """
        if mode == "prepared" and self.pools:
            return "pgbench stops when it prepares inside of transactions over a pool"
        return self._way.refuses(mode)


class Heavy:
    """The same pooler, to which the scheduler gives twice as much."""

    def __init__(self, way):
        if not processes.are_grouped():
            raise Failed("the scheduler does not count sessions here")
        # Its files are called like it, and must not be those of the one without.
        way.name += HEAVY
        self._way = way
        self.name, self.pools = way.name, way.pools

    def start(self, directory):
        """Starts it, and says so to the scheduler."""
        running = self._way.start(directory)
        try:
            processes.weigh(running.pids, 2)
        except Failed:
            running.stop()
            raise
        return running

    def refuses(self, mode):
        """What it does without."""
        return self._way.refuses(mode)


class Running:
    """A contender that takes connections; without a process it is the server itself."""

    def __init__(self, port, *started):
        self.port, self._processes = port, started
        self.pids = [process.pid for process in started]
        # What pgbench runs instead of its own point read, and with which environment.
        self.script, self.environment = None, {}
        # What a client names its tenant with in its startup message, where there are any.
        self.tenant_setting = None

    def cpu_seconds(self):
        """CPU time of the proxy so far."""
        return sum(map(processes.cpu_seconds, self.pids))

    def resident_bytes(self):
        """Its memory that is in RAM now."""
        return sum(map(processes.resident_bytes, self.pids))

    def forget_peak(self):
        """From now on `peak_bytes` counts anew."""
        for pid in self.pids:
            processes.forget_peak(pid)

    def peak_bytes(self):
        """The most memory that was in RAM at once."""
        return sum(map(processes.peak_bytes, self.pids))

    def check(self):
        """Fails if it has died."""
        for process in self._processes:
            process.check()

    def stop(self):
        """Ends it."""
        for process in self._processes:
            process.stop()


@functools.cache
def find_pgusher():
    """The one that PGUSHER names, or else it is built."""
    return os.environ.get("PGUSHER") or os.path.join(build("--bin", "pgusher"), "pgusher")


def find_pgbouncer(directory):
    """The command of a PgBouncer that can keep prepared statements, or else of an older one.

    `PGBOUNCER` chooses one. Else it is the one on the PATH, if it is new enough; that of Debian 13,
    unpacked in `directory`; or an older one, installed if that can be.
    """
    chosen = os.environ.get("PGBOUNCER")
    if chosen:
        return [chosen]
    on_path = _installed_pgbouncer()
    if on_path and numbers(pgbouncer_version([on_path])) >= PREPARES:
        return [on_path]
    try:
        newer = debian.PGBOUNCER.command(bench_directory(), directory)
        # It says so here if it does not run on this system.
        pgbouncer_version(newer)
        return newer
    except (Failed, OSError) as why:
        print(f"no PgBouncer of Debian {debian.PGBOUNCER.suite}: {why}", file=sys.stderr, flush=True)
    if on_path is None and postgres.install("pgbouncer"):
        on_path = _installed_pgbouncer()
    if on_path is None:
        raise Failed("not found and not to be installed; PGBOUNCER=/path/to/pgbouncer names one")
    return [on_path]


def _installed_pgbouncer():
    return shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


def pgbouncer_version(command):
    """What it says itself."""
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"PgBouncer (\d+\.\d+(\.\d+)?)", said.stdout)
    if not found:
        raise Failed(f"{command[-1]} --version says nothing about PgBouncer")
    return found[1]


def numbers(version):
    """To compare it with others."""
    return tuple(int(part) for part in version.split("."))


def build(*targets):
    """Builds in release mode; gives the directory of the results."""
    # Packages that are not part of the main build have their results among its own.
    environment = {**os.environ, "CARGO_TARGET_DIR": target_directory()}
    done = subprocess.run(
        ["cargo", "build", "--release", "--quiet", *targets],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
        raise Failed(f"cargo build failed: {errors[0] if errors else done.stderr.strip()[-200:]}")
    return os.path.join(target_directory(), "release")


def target_directory():
    """Where cargo puts what it builds."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["target_directory"]


def bench_directory():
    """Where the benchmark leaves its samples, and keeps packages for the next time."""
    return os.path.join(target_directory(), "bench")
