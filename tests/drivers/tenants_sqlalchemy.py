"""SQLAlchemy and tenants: an engine for each tenant, one engine with SET, one with comments."""

from checks import ROUNDS, check, run_all
from checks import URL as BASE
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from tenants import SUMS, urls

ORDERS = Table("orders", MetaData(), Column("tenant_id", Text), Column("n", Integer))
SUM = select(func.sum(ORDERS.c.n))
DRIVERS = ["psycopg", "psycopg2"]


def engines(url):
    for driver in DRIVERS:
        engine = create_engine(url.replace("postgres://", f"postgresql+{driver}://"), pool_pre_ping=True)
        yield engine
        engine.dispose()


@check
def an_engine_for_each_tenant():
    for tenant, own in SUMS.items():
        for url in urls(tenant):
            for engine in engines(url):
                for _ in range(8):
                    with Session(engine) as session:
                        assert session.scalar(SUM) == own
                        session.execute(insert(ORDERS), [{"n": 100}, {"n": 200}])
                        with session.begin_nested() as savepoint:
                            session.execute(insert(ORDERS).values(n=1000))
                            savepoint.rollback()
                        assert session.scalar(SUM) == own + 300


@event.listens_for(Session, "after_begin")
def tenant_first(session, transaction, connection):
    if tenant := session.info.get("tenant"):
        connection.execute(text("SELECT set_config('app.tenant_id', :tenant, true)"), {"tenant": tenant})


def shared_engines():
    """Engines whose URL names nobody. SQLAlchemy asks the server for its version and more when it first
    connects, and pool_pre_ping asks in between: where a tenant is required these need one, too.
    `nobody` has no rows."""
    for driver in DRIVERS:
        engine = create_engine(BASE.replace("postgres://", f"postgresql+{driver}://"), pool_pre_ping=True)

        # Before SQLAlchemy's own first questions.
        @event.listens_for(engine, "connect", insert=True)
        def at_first(connection, record):
            with connection.cursor() as cursor:
                cursor.execute("SET app.tenant_id = 'nobody'")
            connection.commit()

        yield engine
        engine.dispose()


@check
def one_engine_and_set_local():
    for engine in shared_engines():
        for _ in range(ROUNDS):
            for tenant, own in SUMS.items():
                with Session(engine, info={"tenant": tenant}) as session:
                    assert session.scalar(SUM) == own
                    session.commit()
                    assert session.scalar(SUM) == own
        with Session(engine) as session:
            assert session.scalar(SUM) is None


@check
def the_version_needs_a_tenant():
    try:
        create_engine(BASE.replace("postgres://", "postgresql+psycopg://")).connect()
        raise AssertionError("connected")
    except DBAPIError as error:
        assert "no tenant is known" in str(error)


run_all()
