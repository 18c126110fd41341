"""SQLAlchemy's ORM over three drivers, with nothing but the URL set."""

import asyncio
import datetime
import decimal
import enum
import uuid
from concurrent.futures import ThreadPoolExecutor

from checks import URL, check, run_all
from orms import OWN_REST, SCHEMA, WHO
from sqlalchemy import (
    ARRAY,
    DateTime,
    Enum,
    ForeignKey,
    NullPool,
    Numeric,
    String,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

THREADS = 6


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    red = 1
    blue = 2


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    born: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    price: Mapped[decimal.Decimal] = mapped_column(Numeric(10, 2))
    colour: Mapped[Colour] = mapped_column(Enum(Colour, name="colour"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(String))
    extra: Mapped[dict] = mapped_column(JSONB)
    author: Mapped[Author] = relationship(back_populates="books")


def engine_of(driver, **more):
    return create_engine(f"postgresql+{driver}://{OWN_REST}", **more)


def fresh(engine):
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    assert sorted(inspect(engine).get_table_names()) == ["authors", "books"]


def book(i):
    return Book(price=decimal.Decimal(i) / 4, colour=Colour.red, tags=[f"t{i}", "all"], extra={"i": i})


def unit_of_work(engine):
    with Session(engine) as session:
        session.add_all(Author(id=i, name=f"author {i}", books=[book(i), book(i + 1)]) for i in range(1, 51))
        session.commit()
        found = session.scalars(select(Author).options(selectinload(Author.books)).order_by(Author.id)).all()
        assert [len(author.books) for author in found] == [2] * 50
        assert found[2].books[0].tags[1] == "all" and found[2].born.tzinfo
        found[0].name = "changed"
        session.delete(found[1])
        session.commit()
        assert session.scalar(select(func.count()).select_from(Book)) == 98
        assert session.get(Author, 1).name == "changed"


def savepoints(engine):
    with Session(engine) as session:
        for i in range(3):
            try:
                with session.begin_nested():
                    session.add(Author(id=1000 + i, name="author 3" if i == 1 else f"new {i}"))
            except IntegrityError:
                assert i == 1
        session.commit()
        assert session.scalars(select(Author.id).where(Author.id >= 1000).order_by(Author.id)).all() == [1000, 1002]
        statement = insert(Author).values(id=1000, name="x").on_conflict_do_nothing().returning(Author.id)
        assert session.scalars(statement).all() == []


def server_side_cursors(engine):
    with Session(engine) as session:
        rows = session.scalars(select(func.generate_series(1, 1000)).execution_options(yield_per=50))
        assert sum(rows) == 500_500
    with engine.connect() as conn:
        rows = conn.execution_options(stream_results=True).execute(select(Author.id))
        assert rows.fetchone()
        rows.close()
        assert conn.scalar(text("SELECT 1")) == 1


def isolation(engine):
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as conn:
        assert conn.scalar(text("SHOW transaction_isolation")) == "serializable"
        conn.rollback()
        assert conn.scalar(text("SHOW transaction_isolation")) == "serializable"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM authors"))
        assert conn.scalar(text("SHOW transaction_isolation")) == "read committed"
    with engine.connect() as conn:
        assert conn.scalar(text("SHOW transaction_isolation")) == "read committed"


def locks(engine):
    """Ten clients count up one row; nothing is lost."""
    with Session(engine) as session:
        session.merge(Author(id=5000, name="0"))
        session.commit()

    def count(_):
        for _ in range(10):
            with Session(engine) as session, session.begin():
                row = session.scalars(select(Author).where(Author.id == 5000).with_for_update()).one()
                row.name = str(int(row.name) + 1)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(count, range(THREADS)))
    with Session(engine) as session:
        assert session.get(Author, 5000).name == str(10 * THREADS)


def session_settings(driver):
    """The usual hook: what is set when a connection is made holds for as long as it lives."""
    engine = engine_of(driver)

    @event.listens_for(engine, "connect")
    def settings(connection, _):
        cursor = connection.cursor()
        cursor.execute(f"SET application_name = 'alchemy {WHO}'")
        cursor.execute("SET statement_timeout = '33s'")
        cursor.execute("SET TIME ZONE 'Asia/Tokyo'")
        cursor.close()
        connection.commit()

    def look(_):
        for _ in range(10):
            with engine.connect() as conn:
                for name, value in [
                    ("application_name", f"alchemy {WHO}"),
                    ("statement_timeout", "33s"),
                    ("timezone", "Asia/Tokyo"),
                ]:
                    assert conn.scalar(text(f"SHOW {name}")) == value, name
                    conn.commit()
                    if SCHEMA != "public":
                        assert conn.scalar(text("SHOW search_path")) == SCHEMA

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(look, range(THREADS)))
    engine.dispose()


def session_objects(driver):
    """Temporary tables and advisory locks last longer than a transaction."""
    engine = engine_of(driver)
    with engine.connect() as conn:
        conn.execute(text("CREATE TEMP TABLE scratch (i int)"))
        conn.commit()
        conn.execute(text("INSERT INTO scratch SELECT generate_series(1, 10)"))
        conn.commit()
        assert conn.scalar(text("SELECT sum(i) FROM scratch")) == 55
        conn.execute(text("DROP TABLE scratch"))
        conn.commit()
        conn.execute(text("SELECT pg_advisory_lock(77)"))
        conn.commit()
        assert conn.scalar(text("SELECT pg_advisory_unlock(77)")) is True
        conn.commit()
    engine.dispose()


def two_phase(driver):
    engine = engine_of(driver)
    with engine.connect() as conn:
        transaction = conn.begin_twophase(f"{driver} {WHO}")
        conn.execute(text("INSERT INTO authors (id, name) VALUES (7000, 'prepared')"))
        transaction.prepare()
        transaction.commit()
        assert conn.scalar(text("SELECT name FROM authors WHERE id = 7000")) == "prepared"
    engine.dispose()


def short_lived(driver):
    """As a function in a cloud does: connect, one query, leave."""
    engine = engine_of(driver, poolclass=NullPool)

    def visit(i):
        with Session(engine) as session:
            assert session.scalars(select(Author.id).where(Author.id == 3)).all() == [3], i

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(visit, range(60)))


def everything(driver):
    engine = engine_of(driver)
    fresh(engine)
    unit_of_work(engine)
    savepoints(engine)
    server_side_cursors(engine)
    isolation(engine)
    locks(engine)
    two_phase(driver)
    short_lived(driver)
    engine.dispose()


@check
def orm_over_psycopg3():
    everything("psycopg")


@check
def orm_over_psycopg2():
    everything("psycopg2")


@check
def settings_over_psycopg3():
    session_settings("psycopg")


@check
def settings_over_psycopg2():
    session_settings("psycopg2")


@check
def objects_over_psycopg3():
    session_objects("psycopg")


@check
def objects_over_psycopg2():
    session_objects("psycopg2")


def async_engine(**more):
    settings = {} if SCHEMA == "public" else {"server_settings": {"search_path": SCHEMA}}
    url = f"postgresql+asyncpg://{URL.split('://', 1)[1]}"
    return create_async_engine(url, connect_args=settings, **more)


@check
async def orm_over_asyncpg():
    engine = async_engine()
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
        await conn.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all(Author(id=i, name=f"author {i}", books=[book(i), book(i + 1)]) for i in range(1, 51))
        await session.commit()
        try:
            async with session.begin_nested():
                session.add(Author(id=60, name="author 3"))
        except IntegrityError:
            pass
        session.add(Author(id=61, name="new"))
        await session.commit()
        found = (await session.scalars(select(Author).options(selectinload(Author.books)))).all()
        assert sum(len(author.books) for author in found) == 100
        rows = await session.stream_scalars(select(func.generate_series(1, 1000)).execution_options(yield_per=50))
        assert sum([i async for i in rows]) == 500_500
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="SERIALIZABLE")
        assert await conn.scalar(text("SHOW transaction_isolation")) == "serializable"

    async def client(who):
        for i in range(20):
            async with AsyncSession(engine) as session:
                name = await session.scalar(select(Author.name).where(Author.id == 3 + i))
                assert name == f"author {3 + i}"
                try:
                    await session.execute(text("SELECT 1 / 0"))
                    raise AssertionError("no error")
                except DBAPIError:
                    await session.rollback()

    await asyncio.gather(*(client(who) for who in range(THREADS)))
    await engine.dispose()


@check
async def settings_over_asyncpg():
    engine = async_engine()

    @event.listens_for(engine.sync_engine, "connect")
    def settings(connection, _):
        cursor = connection.cursor()
        cursor.execute("SET statement_timeout = '33s'")
        cursor.close()
        connection.commit()

    async def look():
        for _ in range(10):
            async with engine.connect() as conn:
                assert await conn.scalar(text("SHOW statement_timeout")) == "33s"
                await conn.commit()

    await asyncio.gather(*(look() for _ in range(THREADS)))
    await engine.dispose()


@check
async def short_lived_over_asyncpg():
    engine = async_engine(poolclass=NullPool)

    async def visit():
        async with engine.connect() as conn:
            assert await conn.scalar(select(Author.name).where(Author.id == 3)) == "author 3"

    for _ in range(10):
        await asyncio.gather(*(visit() for _ in range(THREADS)))
    await engine.dispose()


run_all()
