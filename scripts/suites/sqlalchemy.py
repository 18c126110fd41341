"""SQLAlchemy over psycopg 3: its source package has its tests."""

from . import command, sources

TITLE, VERSION = "SQLAlchemy with psycopg 3", "2.1.9"
USERS, EXTENSIONS = {}, ["hstore", "citext", "btree_gist"]
# As its README.unittests.rst wants it.
SETUP = ("CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2; "
         "ALTER DATABASE postgres SET default_text_search_config = 'pg_catalog.english'")


def prepare():
    """Its tests want the source around them."""
    source = sources.pypi("sqlalchemy", "sqlalchemy", VERSION)
    program = sources.python("psycopg[binary]==3.2.13", "greenlet", "typing-extensions",
                             *sources.PYTEST)
    return program, sources.fresh_copy(source, "sqlalchemy")


def run(prepared, target, run_directory, select):
    """Those that need a database, but for what only measures memory."""
    program, directory = prepared
    url = target.url().replace("postgres://", "postgresql+psycopg://")
    arguments = ["test", "--backend-only", "--ignore=test/aaa_profiling", f"--dburi={url}",
                 "-p", "no:logging", "--maxfail=1000000", *select]
    return command.pytest(program, arguments, run_directory, directory, {})
