"""Other poolers that no package registry has: whoever has built one names it in the environment."""

import os
import re

from . import processes
from .contenders import MAX_CLIENTS, MAX_PREPARED, POOL_SIZE, Running
from .postgres import DATABASE, PASSWORD, USER
from .processes import Failed, Process


class Peer:
    """One of them, in transaction mode with one or two worker threads."""

    pools = True

    def __init__(self, server, name, binary, workers, settings):
        self._server, self._binary, self._workers = server, binary, workers
        self._settings = settings
        self.name = f"{name}, {workers} worker{'s' if workers > 1 else ''}"

    def start(self, directory):
        """Writes its configuration and starts it."""
        port = processes.free_port()
        base = os.path.join(directory, re.sub(r"[^a-z0-9]+", "-", self.name.lower()))
        with open(f"{base}.toml", "w", encoding="ascii") as file:
            file.write(self._settings(port, self._server, self._workers))
        command = [self._binary, f"{base}.toml"]
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


# By the variable that names its program.
_KNOWN = {"PGCAT": ("PgCat", _pgcat), "PG_DOORMAN": ("pg_doorman", _pg_doorman)}

PEERS = {
    f"{name}, {workers} worker{'s' if workers > 1 else ''}": (variable, name, settings, workers)
    for variable, (name, settings) in _KNOWN.items()
    for workers in (1, 2)
}


def find(called, server):
    """It, if its variable names a program."""
    variable, name, settings, workers = PEERS[called]
    binary = os.environ.get(variable)
    if not binary:
        raise Failed(f"no registry has it; {variable}=/path/to/{variable.lower()} names one")
    return Peer(server, name, binary, workers, settings)
