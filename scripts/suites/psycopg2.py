"""psycopg2, whose source package has its tests."""

import os

from . import command, sources

TITLE, VERSION = "psycopg2", "2.9.13"
USERS, EXTENSIONS = {}, ["hstore"]


def prepare():
    """The tests without the source of the driver, so that the built one is imported."""
    source = sources.pypi("psycopg2", "psycopg2", VERSION)
    program = sources.python(f"psycopg2-binary=={VERSION}", *sources.PYTEST)
    directory = sources.fresh_copy(os.path.join(source, "tests"), "psycopg2/tests")
    return program, os.path.dirname(directory)


def run(prepared, target, run_directory, select):
    """All but replication, which it leaves out unless told where."""
    program, directory = prepared
    names = {"TESTDB": "database", "TESTDB_HOST": "host", "TESTDB_PORT": "port",
             "TESTDB_USER": "user", "TESTDB_PASSWORD": "password"}
    environment = {f"PSYCOPG2_{name}": str(getattr(target, value)) for name, value in names.items()}
    return command.pytest(program, ["tests", *select], run_directory, directory, environment)
