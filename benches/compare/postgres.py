"""A throw-away PostgreSQL server with the tables of pgbench, for SCRAM logins over loopback TCP."""

import glob
import os
import shutil
import signal
import subprocess
import time

from . import processes
from .processes import Failed

USER, PASSWORD, DATABASE = "bench", "bench-password", "bench"
SCALE = 10
# The relay without a pool needs one server connection per client; the pools need theirs as well.
MAX_CONNECTIONS = 500


def find_binaries():
    """The directory of initdb, postgres and pgbench; installed from Debian if there is none."""
    directory = _installed_binaries()
    if directory is None and install("postgresql"):
        directory = _installed_binaries()
    if directory is None:
        raise SystemExit("PostgreSQL is needed (initdb, postgres, pgbench): install it or set PG_BIN")
    return directory


def _installed_binaries():
    candidates = [os.environ.get("PG_BIN")]
    found = glob.glob("/usr/lib/postgresql/*/bin")
    candidates += sorted(found, key=lambda path: int(path.split("/")[4]), reverse=True)
    on_path = shutil.which("pgbench")
    candidates.append(on_path and os.path.dirname(on_path))
    needed = ("initdb", "postgres", "pgbench", "psql")
    for directory in filter(None, candidates):
        if all(os.access(os.path.join(directory, name), os.X_OK) for name in needed):
            return directory
    return None


def install(package):
    """Tries to install a Debian package. Says whether that worked."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"installing {package} …", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-y", "--no-install-recommends"]
    quiet = {"env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*apt, "update"], **quiet, check=False)
    return subprocess.run([*apt, "install", package], **quiet, check=False).returncode == 0


def server_user():
    """PostgreSQL and PgBouncer refuse to run as root: whom they run as instead."""
    return "postgres" if os.geteuid() == 0 else None


class Postgres:
    """The server. `start` may end half-way; `stop` is right after it in any case."""

    def __init__(self, binaries, directory):
        self.binaries, self.port = binaries, processes.free_port()
        self._directory = directory
        self._data = os.path.join(directory, "data")
        self._log = os.path.join(directory, "postgres.log")
        self._user = server_user()
        self._process = None
        self.version = self.secret = None

    def start(self):
        """Makes the cluster, starts it, fills the tables."""
        os.mkdir(self._data, 0o700)
        if self._user:
            shutil.chown(self._data, self._user, self._user)
        self._initdb()
        self._process = processes.Process(
            "PostgreSQL",
            [self._binary("postgres"), "-D", self._data],
            self._log,
            self.port,
            user=self._user,
        )
        self._wait_until_ready()
        self._create_database()

    def _wait_until_ready(self, seconds=20):
        """It listens a moment before it lets anybody in."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.query("select 1", database="postgres")
                return
            except Failed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _initdb(self):
        password_file = os.path.join(self._directory, "password")
        with open(password_file, "w", encoding="ascii") as file:
            file.write(PASSWORD)
        os.chmod(password_file, 0o644)
        identity = {"user": self._user, "group": self._user, "extra_groups": []}
        self._run(
            [self._binary("initdb"), "-D", self._data, "-U", USER, "--no-sync", "-E", "UTF8",
             "--locale=C", "-A", "scram-sha-256", f"--pwfile={password_file}"],
            cwd="/",
            **(identity if self._user else {}),
        )
        with open(os.path.join(self._data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(
                f"port = {self.port}\n"
                "listen_addresses = '127.0.0.1'\n"
                "unix_socket_directories = ''\n"
                f"max_connections = {MAX_CONNECTIONS}\n"
                "shared_buffers = 256MB\n"
                # Nothing here is worth keeping, and the disk is not what is measured.
                "fsync = off\nsynchronous_commit = off\nautovacuum = off\n"
            )

    def _create_database(self):
        self.query(f"create database {DATABASE}", database="postgres")
        self._run([self._binary("pgbench"), "-i", "-q", "-s", str(SCALE), *self.arguments()])
        self.query("vacuum analyze")
        self.version = self.query("show server_version").split()[0]
        # Poolers get the stored secret, as a careful operator would give it to them.
        self.secret = self.query(f"select rolpassword from pg_authid where rolname = '{USER}'")

    def _binary(self, name):
        return os.path.join(self.binaries, name)

    def arguments(self, port=None):
        """How a client of PostgreSQL reaches the database, on whatever port it is offered."""
        return ["-h", "127.0.0.1", "-p", str(port or self.port), "-U", USER, DATABASE]

    @property
    def pid(self):
        """Of the process that all others are children of."""
        return self._process.pid

    def query(self, sql, database=DATABASE):
        """One value."""
        where = [*self.arguments()[:-1], database]
        return self._run([self._binary("psql"), "-qAtX", "-c", sql, *where]).strip()

    def _run(self, command, **options):
        env = {**os.environ, "PGPASSWORD": PASSWORD}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, **options
        )
        if done.returncode:
            raise Failed(f"{os.path.basename(command[0])}: {done.stderr.strip()}")
        return done.stdout

    def count_parses(self):
        """Connections made from now on write down what they parse, for `parses`."""
        self.query(f"alter role {USER} set log_min_duration_statement = 0")
        # pgusher shows a client that names the view itself only its own.
        self.query("create view on_server as select * from pg_prepared_statements")
        self.query(f"grant select on on_server to {USER}")
        self.parses()

    def parses(self):
        """How many statements were parsed since this was asked last."""
        with open(self._log, "rb") as file:
            count = sum(b" ms  parse " in line for line in file)
        # Nothing else reads it, and it would grow by a hundred bytes for each message.
        os.truncate(self._log, 0)
        return count

    def stop(self):
        """A fast shutdown."""
        if self._process:
            self._process.stop(signal.SIGINT)
