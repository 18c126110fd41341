"""Other poolers than PgBouncer: whoever has one names it in the environment. Odyssey is in Debian."""

import os
import re

from . import debian, processes
from .contenders import BACKLOG, MAX_CLIENTS, MAX_PREPARED, POOL_SIZE, Running, bench_directory
from .postgres import DATABASE, PASSWORD, USER
from .processes import Failed, Process


class Peer:
    """One of them, in transaction mode with one or two worker threads."""

    pools = True

    def __init__(self, server, name, command, workers, settings):
        self._server, self._command, self._workers = server, command, workers
        self._settings = settings
        self.name = f"{name}, {workers} worker{'s' if workers > 1 else ''}"

    def start(self, directory):
        """Writes its configuration and starts it."""
        port = processes.free_port()
        base = os.path.join(directory, re.sub(r"[^a-z0-9]+", "-", self.name.lower()))
        with open(f"{base}.conf", "w", encoding="ascii") as file:
            file.write(self._settings(port, self._server, self._workers))
        command = [*self._command, f"{base}.conf"]
        return Running(port, Process(self.name, command, f"{base}.log", port))

    def refuses(self, _mode):
        """Nothing."""
        return None


def _pgcat(port, server, workers):
    """It asks clients for an MD5 password; there is no SCRAM on that side."""
    return (
        f'[general]\nhost = "127.0.0.1"\nport = {port}\nworker_threads = {workers}\n'
        'admin_username = "admin"\nadmin_password = "admin"\n'
        f"prepared_statements_cache_size = {MAX_PREPARED}\n"
        f'[pools.{DATABASE}]\npool_mode = "transaction"\n'
        f"prepared_statements_cache_size = {MAX_PREPARED}\n"
        f'[pools.{DATABASE}.users.0]\nusername = "{USER}"\npassword = "{PASSWORD}"\n'
        f'pool_size = {POOL_SIZE}\npool_mode = "transaction"\n'
        f'[pools.{DATABASE}.shards.0]\nservers = [["127.0.0.1", {server.port}, "primary"]]\n'
        f'database = "{DATABASE}"\n'
    )


def _pg_doorman(port, server, workers):
    return (
        f'[general]\nhost = "127.0.0.1"\nport = {port}\nworker_threads = {workers}\n'
        f"max_connections = {MAX_CLIENTS}\n"
        'admin_username = "admin"\nadmin_password = "admin"\n'
        "log_client_connections = false\nlog_client_disconnections = false\n"
        "prepared_statements = true\n"
        f'[pools.{DATABASE}]\nserver_host = "127.0.0.1"\nserver_port = {server.port}\n'
        f'server_database = "{DATABASE}"\npool_mode = "transaction"\n'
        f'[pools.{DATABASE}.users.0]\nusername = "{USER}"\npassword = "{server.secret}"\n'
        f'server_username = "{USER}"\nserver_password = "{PASSWORD}"\npool_size = {POOL_SIZE}\n'
    )


def _odyssey(port, server, workers):
    """What it does behind each transaction by itself (`DISCARD ALL`) would undo prepared ones."""
    return (
        'daemonize no\nlog_format "%p %t %l %m\\n"\n'
        f"workers {workers}\nresolvers 1\nclient_max {MAX_CLIENTS}\n"
        "log_to_stdout yes\nlog_config no\nlog_session no\nlog_query no\nlog_stats no\n"
        f'listen {{\n host "127.0.0.1"\n port {port}\n backlog {BACKLOG}\n}}\n'
        f'storage "s" {{\n type "remote"\n host "127.0.0.1"\n port {server.port}\n}}\n'
        f'database "{DATABASE}" {{\n user "{USER}" {{\n'
        f'  authentication "scram-sha-256"\n  password "{server.secret}"\n  storage "s"\n'
        f'  storage_user "{USER}"\n  storage_password "{PASSWORD}"\n'
        f'  pool "transaction"\n  pool_size {POOL_SIZE}\n'
        "  pool_discard no\n  pool_reserve_prepared_statement yes\n }\n}\n"
    )


# By the variable that names its program.
_KNOWN = {
    "ODYSSEY": ("Odyssey", _odyssey),
    "PGCAT": ("PgCat", _pgcat),
    "PG_DOORMAN": ("pg_doorman", _pg_doorman),
}
# What Debian has.
_PACKAGES = {"ODYSSEY": debian.ODYSSEY}

PEERS = {
    f"{name}, {workers} worker{'s' if workers > 1 else ''}": (variable, name, settings, workers)
    for variable, (name, settings) in _KNOWN.items()
    for workers in (1, 2)
}


def find(called, server, directory):
    """It, if its variable names a program, or Debian has it; it is unpacked in `directory`."""
    variable, name, settings, workers = PEERS[called]
    binary, package = os.environ.get(variable), _PACKAGES.get(variable)
    if binary:
        command = [binary]
    elif package:
        command = package.command(bench_directory(), directory)
    else:
        raise Failed(f"no registry has it; {variable}=/path/to/{variable.lower()} names one")
    return Peer(server, name, command, workers, settings)
