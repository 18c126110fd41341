"""SQLAlchemy over three drivers, with its own pool in front of ours."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from checks import CLIENTS, ROUNDS, URL, check, run_all
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

REST = URL.split("://", 1)[1]
TABLE = Table("alchemy", MetaData(), Column("id", Integer, primary_key=True), Column("t", Text))


def work(driver):
    engine = create_engine(f"postgresql+{driver}://{REST}", pool_size=CLIENTS, pool_pre_ping=True)
    TABLE.metadata.drop_all(engine)
    TABLE.metadata.create_all(engine)
    with engine.begin() as conn:
        conn.execute(insert(TABLE), [{"id": i, "t": f"t{i}"} for i in range(1000)])
    try:
        with engine.begin() as conn:
            conn.execute(insert(TABLE).values(id=5, t="again"))
        raise AssertionError("no error")
    except IntegrityError:
        pass
    with engine.begin() as conn:
        with conn.begin_nested() as savepoint:
            conn.execute(insert(TABLE).values(id=5000, t="undone"))
            savepoint.rollback()
        assert conn.scalar(select(func.count()).select_from(TABLE)) == 1000

    def client(who):
        for i in range(ROUNDS):
            with engine.connect() as conn:
                assert conn.scalar(select(TABLE.c.t).where(TABLE.c.id == who + i)) == f"t{who + i}"

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(client, range(CLIENTS)))
    engine.dispose()


@check
def over_psycopg2():
    work("psycopg2")


@check
def over_psycopg3():
    work("psycopg")


@check
async def over_asyncpg():
    engine = create_async_engine(f"postgresql+asyncpg://{REST}", pool_size=CLIENTS)
    async with engine.begin() as conn:
        await conn.run_sync(TABLE.metadata.drop_all)
        await conn.run_sync(TABLE.metadata.create_all)
        await conn.execute(insert(TABLE), [{"id": i, "t": f"t{i}"} for i in range(1000)])

    async def client(who):
        for i in range(ROUNDS):
            async with engine.connect() as conn:
                query = select(TABLE.c.t).where(TABLE.c.id == who + i)
                assert await conn.scalar(query) == f"t{who + i}"

    await asyncio.gather(*(client(who) for who in range(CLIENTS)))
    async with engine.connect() as conn:
        try:
            await conn.execute(text("SELECT 1 / 0"))
            raise AssertionError("no error")
        except DBAPIError:
            await conn.rollback()
        assert await conn.scalar(text("SELECT 1")) == 1
    await engine.dispose()


run_all()
