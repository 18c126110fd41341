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


@check
def one_engine_and_set_local():
    # pool_pre_ping asks before anybody has said who it is for, so it is off here.
    for driver in DRIVERS:
        engine = create_engine(BASE.replace("postgres://", f"postgresql+{driver}://"))

        @event.listens_for(Session, "after_begin")
        def tenant_first(session, transaction, connection):
            if tenant := session.info.get("tenant"):
                connection.execute(text("SELECT set_config('app.tenant_id', :tenant, true)"), {"tenant": tenant})

        for _ in range(ROUNDS):
            for tenant, own in SUMS.items():
                with Session(engine, info={"tenant": tenant}) as session:
                    assert session.scalar(SUM) == own
                    session.commit()
                    assert session.scalar(SUM) == own
        try:
            with Session(engine) as session:
                session.scalar(SUM)
            raise AssertionError("somebody's rows")
        except DBAPIError as error:
            assert "no tenant is known" in str(error)
        event.remove(Session, "after_begin", tenant_first)
        engine.dispose()


@check
def one_engine_and_comments():
    """As sqlcommenter does it: each statement gets its comment before it is executed."""
    for driver in DRIVERS:
        engine = create_engine(BASE.replace("postgres://", f"postgresql+{driver}://"))
        tenant = None

        @event.listens_for(engine, "before_cursor_execute", retval=True)
        def comment(conn, cursor, statement, parameters, context, executemany):
            return f"{statement} /*tenant_id='{tenant}'*/" if tenant else statement, parameters

        for _ in range(ROUNDS):
            for tenant, own in SUMS.items():
                with Session(engine) as session:
                    assert session.scalar(SUM) == own
                    assert session.scalar(SUM.where(ORDERS.c.n > 0)) == own
                    session.rollback()
        engine.dispose()


run_all()
