"""What the checks of ORMs and migration tools share.

Two processes run the same script at the same time, on the same database and the same two server
connections. `WHO` says which of them this is; each has a schema of its own, the first by the default
`search_path`, the second by a URL that says so: what one of them sees of the other's session shows.
"""

import os
import pathlib
import tempfile

import psycopg
from checks import URL

WHO = os.environ.get("WHO", "one")
SCHEMA = "public" if WHO == "one" else WHO
# What libpq understands, and with it psycopg 2 and 3.
OWN_URL = URL if WHO == "one" else f"{URL}?options=-csearch_path%3D{WHO}"
OWN_REST = OWN_URL.split("://", 1)[1]

if SCHEMA != "public":
    with psycopg.connect(URL, autocommit=True) as _conn:
        _conn.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")


def files(texts):
    """A directory with these files, by path; gone when the process ends."""
    directory = tempfile.TemporaryDirectory()
    files.kept.append(directory)
    for name, text in texts.items():
        path = pathlib.Path(directory.name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return pathlib.Path(directory.name)


files.kept = []
