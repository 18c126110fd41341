"""Alembic: migrations up and down, autogenerate, SQL for later, one transaction for each, none for some."""

import io
import subprocess
import sys

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from checks import check, run_all, slow
from orms import OWN_REST, SCHEMA, files
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, inspect, text

ENV = """
from alembic import context
from sqlalchemy import create_engine, pool

config = context.config
metadata = config.attributes.get("metadata")
if context.is_offline_mode():
    context.configure(url=config.get_main_option("sqlalchemy.url"), target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        each = config.attributes.get("each", False)
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=each)
        with context.begin_transaction():
            context.run_migrations()
"""

HEAD = """
from alembic import op
import sqlalchemy as sa

revision = "{0}"
down_revision = {1}

"""

MAKO = '''
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''

STEPS = [
    """
def upgrade():
    op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50)))
    orders = sa.table("orders", sa.column("id", sa.Integer), sa.column("name", sa.String))
    op.bulk_insert(orders, [{"id": i, "name": f"n{i}"} for i in range(1000)])

def downgrade():
    op.drop_table("orders")
""",
    """
def upgrade():
    op.add_column("orders", sa.Column("state", sa.String(20), server_default="new", nullable=False))
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("UPDATE orders SET state = 'old' WHERE mod(id, 2) = 0")
    op.alter_column("orders", "name", existing_type=sa.String(50), type_=sa.Text)
    op.create_check_constraint("known", "orders", "state IN ('new', 'old')")

def downgrade():
    op.drop_constraint("known", "orders")
    op.drop_column("orders", "state")
""",
    """
def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("by_state", "orders", ["state"], postgresql_concurrently=True)
        op.execute("VACUUM orders")
    op.execute("INSERT INTO orders (id, name) VALUES (5000, 'after')")

def downgrade():
    op.execute("DELETE FROM orders WHERE id = 5000")
    with op.get_context().autocommit_block():
        op.drop_index("by_state", "orders", postgresql_concurrently=True)
""",
]
FAILING = """
def upgrade():
    op.execute("UPDATE orders SET name = 'lost'")
    op.execute("SELECT 1 / 0")

def downgrade():
    pass
"""


def project(driver, steps, **attributes):
    texts = {"env.py": ENV, "script.py.mako": MAKO}
    before = None
    for number, step in enumerate(steps, 1):
        texts[f"versions/{number}.py"] = HEAD.format(number, repr(before)) + step
        before = str(number)
    where = files(texts)
    config = Config(output_buffer=io.StringIO(), stdout=io.StringIO())
    config.set_main_option("script_location", str(where))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", f"postgresql+{driver}://{OWN_REST}".replace("%", "%%"))
    config.attributes.update(attributes)
    return config, create_engine(f"postgresql+{driver}://{OWN_REST}"), where


def clean(engine):
    with engine.begin() as conn:
        conn.execute(text("DROP TABLE IF EXISTS orders, alembic_version, invoices"))


def version(engine):
    with engine.connect() as conn:
        return conn.scalar(text("SELECT version_num FROM alembic_version"))


def up_and_down(driver, **attributes):
    config, engine, _ = project(driver, STEPS, **attributes)
    clean(engine)
    for _ in range(2):
        command.upgrade(config, "head")
        assert version(engine) == "3"
        assert [index["name"] for index in inspect(engine).get_indexes("orders")] == ["by_state"]
        with engine.connect() as conn:
            assert conn.execute(text("SELECT state, count(*) FROM orders GROUP BY 1 ORDER BY 1")).all() == [
                ("new", 501),
                ("old", 500),
            ]
            assert conn.scalar(text("SELECT relnamespace::regnamespace::text FROM pg_class "
                                    "WHERE oid = 'orders'::regclass")) == SCHEMA
        command.downgrade(config, "-1")
        assert version(engine) == "2" and inspect(engine).get_indexes("orders") == []
        command.downgrade(config, "base")
        assert version(engine) is None and not inspect(engine).has_table("orders")
    engine.dispose()


@check
def up_and_down_over_psycopg3():
    up_and_down("psycopg")


@check
def up_and_down_over_psycopg2():
    up_and_down("psycopg2")


@check
def a_transaction_for_each():
    up_and_down("psycopg", each=True)


@check
def a_failure_takes_back():
    config, engine, _ = project("psycopg", [STEPS[0], STEPS[1], FAILING])
    clean(engine)
    for each, left in [(False, None), (True, "2")]:
        config.attributes["each"] = each
        try:
            command.upgrade(config, "head")
            raise AssertionError("no error")
        except Exception as error:
            assert "division by zero" in str(error), error
        if left is None:
            assert not inspect(engine).has_table("orders")
        else:
            assert version(engine) == left
            with engine.connect() as conn:
                assert conn.scalar(text("SELECT count(*) FROM orders WHERE name = 'lost'")) == 0
    engine.dispose()


@check
def autogenerate():
    metadata = MetaData()
    Table("orders", metadata, Column("id", Integer, primary_key=True), Column("name", String(50)))
    config, engine, where = project("psycopg", STEPS[:1], metadata=metadata)
    clean(engine)
    command.upgrade(config, "head")
    command.check(config)
    Table("invoices", metadata, Column("id", Integer, primary_key=True), Column("n", Integer, index=True))
    try:
        command.check(config)
        raise AssertionError("no difference seen")
    except CommandError as error:
        assert "invoices" in str(error), error
    command.revision(config, "made", autogenerate=True, rev_id="made")
    made = next(where.glob("versions/made_*")).read_text()
    assert "create_table('invoices'" in made and "orders" not in made, made
    command.upgrade(config, "head")
    assert inspect(engine).has_table("invoices") and version(engine) == "made"
    command.check(config)
    engine.dispose()


@check
def sql_for_later():
    config, engine, _ = project("psycopg", STEPS[:2])
    clean(engine)
    command.upgrade(config, "head", sql=True)
    script = config.output_buffer.getvalue()
    assert script.startswith("BEGIN;") and script.rstrip().endswith("COMMIT;"), script
    # As a whole, as psql -c and a driver's own simple query send it.
    raw = engine.raw_connection()
    raw.driver_connection.autocommit = True
    raw.driver_connection.execute(script)
    raw.close()
    assert version(engine) == "2"
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM orders WHERE state = 'old'")) == 500
    engine.dispose()


LOCK = "connection.exec_driver_sql('SELECT pg_advisory{}_lock(hashtext(current_schema()))')\n"
RUN = "            context.run_migrations()\n"
EACH = "        each ="


def replicas(env):
    """Three that start together and wait for each other."""
    assert env != ENV
    config, engine, where = project("psycopg", STEPS[:2])
    (where / "env.py").write_text(env)
    url = config.get_main_option("sqlalchemy.url").replace("%", "%%")
    (where / "alembic.ini").write_text(f"[alembic]\nscript_location = {where}\nsqlalchemy.url = {url}\n")
    clean(engine)
    alembic = [sys.executable, "-m", "alembic", "-c", where / "alembic.ini", "upgrade", "head"]
    started = [subprocess.Popen(alembic, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)]
    said = [(replica.communicate()[0], replica.returncode) for replica in started]
    assert [code for _, code in said] == [0, 0, 0], said
    assert version(engine) == "2"
    engine.dispose()


@slow
def a_lock_of_the_transaction():
    replicas(ENV.replace(RUN, " " * 12 + LOCK.format("_xact") + RUN))


@slow
def a_lock_of_the_session():
    lock = " " * 8 + LOCK.format("") + " " * 8 + "connection.commit()\n"
    replicas(ENV.replace(EACH, lock + EACH))


run_all()
