"""tokio-postgres and the blocking client on top of it. Their crates have the tests in them."""

import glob
import os

from . import command, sources

TITLE, VERSION = "tokio-postgres", "0.7.18"
CRATES = {"tokio-postgres": VERSION, "postgres": "0.19.14"}
# Whom the tests know by name.
EXTENSIONS = ["hstore", "citext", "ltree"]
USERS = {"pass_user": "scram-sha-256", "md5_user": "md5", "scram_user": "scram-sha-256"}
FEATURES = ["with-bit-vec-0_6", "with-chrono-0_4", "with-eui48-1", "with-geo-types-0_7",
            "with-serde_json-1", "with-smol_str-01", "with-time-0_3", "with-uuid-1", "array-impls"]

# The address is written into the tests. The superuser has a password here.
REPLACED = {
    "127.0.0.1:5433": "127.0.0.1:{port}",
    "port=5433,5433": "port={port},{port}",
    "port=5432,5433": "port=1,{port}",
    "port=5433": "port={port}",
    "host=/var/run/postgresql": "host={sockets}",
    "user=postgres": "user=postgres password={password}",
}


def prepare():
    """Both crates."""
    return {name: sources.crate(name.replace("-", "_"), name, version)
            for name, version in CRATES.items()}


def run(prepared, target, run_directory, select):
    """One crate after the other."""
    found = {}
    for name, source in prepared.items():
        directory = sources.fresh_copy(source, f"tokio_postgres/{name}")
        for path in glob.glob(os.path.join(directory, "tests/**/*.rs"), recursive=True):
            _point_at(path, target)
        for path in glob.glob(os.path.join(directory, "src/test.rs")):
            _point_at(path, target)
        log = os.path.join(run_directory, f"{name}.log")
        features = FEATURES if name == "tokio-postgres" else []
        found.update(
            command.cargo_test(directory, log, ["--tests", f"--features={','.join(features)}"],
                               ["--include-ignored", *select],
                               prefix=f"{name}::")
        )
    return found


def _point_at(path, target):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if os.path.basename(path) == "parse.rs":
        return
    for old, new in REPLACED.items():
        text = text.replace(old, new.format(port=target.port, sockets=target.socket_directory,
                                            password=target.password))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
