"""With `required = false`: nobody is refused, and who has no tenant sees no rows. An ORM may ask the
server what it likes before it says who it is for; its statements carry comments, as sqlcommenter writes.
"""

import psycopg
from checks import ROUNDS, URL, check, run_all
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, event, func, select
from sqlalchemy.orm import Session
from tenants import SUM, SUMS

ORDERS = Table("orders", MetaData(), Column("tenant_id", Text), Column("n", Integer))


@check
def nobody_sees_nothing():
    with psycopg.connect(URL, autocommit=True) as conn:
        for tenant, own in SUMS.items():
            assert conn.execute(SUM).fetchone() == (None,)
            assert conn.execute(f"{SUM} /* tenant_id='{tenant}' */").fetchone() == (own,)


@check
def sqlalchemy_with_comments():
    for driver in ["psycopg", "psycopg2"]:
        engine = create_engine(URL.replace("postgres://", f"postgresql+{driver}://"), pool_pre_ping=True)

        @event.listens_for(engine, "before_cursor_execute", retval=True)
        def comment(conn, cursor, statement, parameters, context, executemany):
            tenant = conn.info.get("tenant")
            return f"{statement} /*tenant_id='{tenant}'*/" if tenant else statement, parameters

        for _ in range(ROUNDS):
            for tenant, own in SUMS.items():
                with Session(engine) as session:
                    session.connection().info["tenant"] = tenant
                    assert session.scalar(select(func.sum(ORDERS.c.n))) == own
                    assert session.scalar(select(func.sum(ORDERS.c.n)).where(ORDERS.c.n > 0)) == own
        engine.dispose()


run_all()
