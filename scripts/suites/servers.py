"""A throw-away PostgreSQL and a pgusher in front of it, for one run of one suite."""

import os
import shutil
import signal
import subprocess
import tempfile

from compare.processes import Process, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

USER, PASSWORD, DATABASE = "postgres", "password", "postgres"

# Enough for the pools of several suites' tests at once, and for what they leave behind.
POOL_SIZE = 40
MAX_CONNECTIONS = 200

SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "max_connections": MAX_CONNECTIONS,
    "max_prepared_transactions": 10,
    "wal_level": "logical",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "lc_messages": "'C'",
}


class Target:
    """Where a suite connects: the same for all of them, whoever listens there."""

    user, password, database, host = USER, PASSWORD, DATABASE, "127.0.0.1"

    def __init__(self, port, socket_directory):
        self.port, self.socket_directory = port, socket_directory

    def dsn(self):
        """For libpq and what reads its strings."""
        return (f"host={self.host} port={self.port} user={self.user} "
                f"password={self.password} dbname={self.database}")

    def url(self, database=None):
        """For what wants a URL."""
        return (f"postgres://{self.user}:{self.password}@{self.host}:{self.port}/"
                f"{database or self.database}")

    def environment(self):
        """libpq's variables, which most drivers know."""
        return {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user,
                "PGPASSWORD": self.password, "PGDATABASE": self.database}


class Home:
    """A short directory: the path of a unix socket may have a hundred bytes."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="pgs-", dir="/tmp")
        os.chmod(self.path, 0o755)

    def file(self, name):
        """A path in it."""
        return os.path.join(self.path, name)

    def remove(self):
        """With all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


class Postgres(Target):
    """A server of its own. It asks for passwords, so that both ways log in alike."""

    def __init__(self, version, suite, log):
        self._home, self._process = Home(), None
        super().__init__(free_port(), self._home.path)
        self.bin = subprocess.run(
            [os.path.join(ROOT, "scripts/postgres.sh"), version],
            stdout=subprocess.PIPE, text=True, check=True,
        ).stdout.strip()
        self.version = version
        try:
            self._initdb()
            self._start(log)
            for name, encryption in suite.USERS.items():
                self.sql(f"SET password_encryption = '{encryption}'; "
                         f"CREATE USER {name} PASSWORD '{PASSWORD}'")
            for name in suite.EXTENSIONS:
                self.sql(f"CREATE EXTENSION {name}")
            if setup := getattr(suite, "SETUP", ""):
                self.sql(setup)
        except BaseException:
            self.stop()
            raise

    def _identity(self):
        # PostgreSQL refuses to run as root.
        if os.geteuid() != 0:
            return None
        user = subprocess.run(["id", "postgres"], capture_output=True, check=False)
        return "postgres" if user.returncode == 0 else "nobody"

    def _initdb(self):
        with open(self._home.file("password"), "w", encoding="ascii") as file:
            file.write(PASSWORD)
        data, user = self._home.file("data"), self._identity()
        os.mkdir(data, 0o700)
        if user:
            shutil.chown(data, user)
            shutil.chown(self._home.path, user)
        subprocess.run(
            [os.path.join(self.bin, "initdb"), "-D", data, "-U", USER, "--no-sync", "-E", "UTF8",
             "--locale=C.UTF-8", "-A", "scram-sha-256", f"--pwfile={self._home.file('password')}"],
            cwd="/", stdout=subprocess.DEVNULL, check=True,
            **({"user": user, "extra_groups": []} if user else {}),
        )
        settings = {**SETTINGS, "port": self.port,
                    "unix_socket_directories": f"'{self._home.path}'"}
        with open(os.path.join(data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        with open(os.path.join(data, "pg_hba.conf"), "w", encoding="ascii") as file:
            # `md5` takes SCRAM secrets too.
            file.write("local all all md5\nhost all all all md5\n")

    def _start(self, log):
        self._process = Process(
            "PostgreSQL", [os.path.join(self.bin, "postgres"), "-D", self._home.file("data")], log,
            self.port, user=self._identity(),
        )
        # It listens a moment before it lets anybody in.
        subprocess.run(
            ["sh", "-c", 'for i in $(seq 200); do "$@" && exit; sleep 0.05; done; exit 1', "sh",
             *self._psql("select 1")],
            env=self._psql_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=True,
        )

    def _psql(self, sql):
        return ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql]

    def _psql_environment(self):
        return {**os.environ, **self.environment(), "PGOPTIONS": "-c client_min_messages=error"}

    def sql(self, sql):
        """Runs statements as the superuser; what they print."""
        return subprocess.run(self._psql(sql), env=self._psql_environment(), check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()

    def stop(self):
        """A fast shutdown; nothing is left."""
        if self._process:
            self._process.stop(signal.SIGINT)
        self._home.remove()


class Pgusher(Target):
    """pgusher in transaction mode, for all databases and the same users as the server has."""

    def __init__(self, binary, server, users, log, extra=""):
        self._home = Home()
        super().__init__(free_port(), self._home.path)
        self._process = None
        config = self._home.file("pgusher.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(self._config(server, users) + extra)
        try:
            command = [binary, "serve", "--config", config]
            self._process = Process("pgusher", command, log, self.port)
        except BaseException:
            self.stop()
            raise

    def _config(self, server, users):
        sockets = os.path.join(self._home.path, f".s.PGSQL.{self.port}")
        logins = "".join(f'[users."{name}"]\npassword = "{PASSWORD}"\n' for name in [USER, *users])
        return (
            f'[listen]\naddress = ["127.0.0.1:{self.port}", "{sockets}"]\n'
            f'[http]\naddress = "127.0.0.1:{free_port()}"\n'
            '[auth]\nmethod = "scram-sha-256"\n'
            f'[databases."*"]\nurl = "postgres://127.0.0.1:{server.port}"\n'
            f'pool_mode = "transaction"\npool_size = {POOL_SIZE}\n'
            f"max_db_connections = {MAX_CONNECTIONS - 20}\n"
            f"[runtime]\nworkers = 2\n{logins}"
        )

    def check(self):
        """Does it still run?"""
        self._process.check()

    def stop(self):
        """At once: what a suite left open is of no interest."""
        if self._process:
            self._process.stop(signal.SIGKILL)
        self._home.remove()
