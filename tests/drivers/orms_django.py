"""Django over psycopg 3: migrations, the ORM, its settings of a connection, and its own test runner."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from checks import URL, check, run_all, slow
from orms import SCHEMA, WHO, files

THREADS = 6
SETTINGS = f"""
import os
from urllib.parse import urlsplit

url = urlsplit({URL!r})
SECRET_KEY = "x"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def database(**more):
    return {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path[1:],
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.hostname,
        "PORT": url.port,
        "OPTIONS": {{"options": "-csearch_path={SCHEMA}"}} if {SCHEMA!r} != "public" and "test" not in os.sys.argv else {{}},
        "TEST": {{"NAME": "test_{WHO}_" + url.path[1:]}},
        **more,
    }}


DATABASES = {{"default": database()}}
if "test" not in os.sys.argv:
    DATABASES["kept"] = database(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
    DATABASES["tokyo"] = database(TIME_ZONE="Asia/Tokyo", CONN_MAX_AGE=None)
    DATABASES["bound"] = database(OPTIONS={{**database()["OPTIONS"], "server_side_binding": True}})
"""

MANAGE = """
import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""

MODELS = """
import uuid
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Shop(models.Model):
    name = models.CharField(max_length=50, unique=True)
    opened = models.DateTimeField(auto_now_add=True)


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="orders")
    price = models.DecimalField(max_digits=10, decimal_places=2)
    paid = models.BooleanField(default=False)
    extra = models.JSONField(default=dict)
    tags = ArrayField(models.TextField(), default=list)
    taken = models.DurationField(null=True)
    file = models.BinaryField(null=True)
    day = models.DateField(null=True)
"""
CHANGED = MODELS.replace("max_length=50", "max_length=80") + """
    note = models.TextField(default="-")
    friends = models.ManyToManyField(Shop)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(price__gte=0), name="{who}_positive")]
        indexes = [models.Index(fields=["day"], name="{who}_day")]
""".format(who=WHO)

CONCURRENTLY = f"""
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


def fill(apps, schema_editor):
    shops = apps.get_model("shop", "Shop").objects.using(schema_editor.connection.alias)
    shops.bulk_create(shops.model(name=f"shop {{i}}") for i in range(100))


def empty(apps, schema_editor):
    apps.get_model("shop", "Shop").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0002_changed")]
    operations = [
        migrations.RunPython(fill, empty),
        AddIndexConcurrently("order", models.Index(fields=["paid"], name="{WHO}_paid")),
        migrations.RunSQL(
            ["SET lock_timeout = '7s'", ("UPDATE shop_shop SET name = name || %s", ["!"]), "RESET lock_timeout"],
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL("VACUUM shop_shop", migrations.RunSQL.noop),
    ]
"""

TESTS = """
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from shop.models import Shop


class Rolled(TestCase):
    @classmethod
    def setUpTestData(cls):
        Shop.objects.create(name="before")

    def test_one(self):
        Shop.objects.create(name="one")
        assert Shop.objects.filter(name__in=["before", "one"]).count() == 2

    def test_two(self):
        with transaction.atomic():
            Shop.objects.create(name="two")
        assert not Shop.objects.filter(name="one").exists()


class Committed(TransactionTestCase):
    def test_three(self):
        Shop.objects.create(name="three")
        assert not Shop.objects.filter(name="before").exists()
        assert len(list(Shop.objects.iterator(chunk_size=10))) >= 1
"""

project = files(
    {
        "settings.py": SETTINGS,
        "manage.py": MANAGE,
        "shop/__init__.py": "",
        "shop/models.py": MODELS,
        "shop/tests.py": TESTS,
        "shop/migrations/__init__.py": "",
    }
)


def manage(*arguments, fails=False):
    command = [sys.executable, "manage.py", *arguments]
    ran = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (ran.returncode != 0) == fails, ran.stdout
    return ran.stdout


@slow
def migrations():
    assert "Create model Order" in manage("makemigrations", "shop")
    assert "Applying shop.0001_initial... OK" in manage("migrate")
    (project / "shop/models.py").write_text(CHANGED)
    assert "no changes" in manage("makemigrations", "auth").lower()
    manage("makemigrations", "shop", "--check", "--dry-run", fails=True)
    manage("makemigrations", "shop", "--name", "changed")
    sql = manage("sqlmigrate", "shop", "0002")
    assert sql.startswith("BEGIN;") and "ADD COLUMN" in sql, sql
    manage("migrate", "shop")


@slow
def without_a_transaction():
    (project / "shop/migrations/0003_concurrently.py").write_text(CONCURRENTLY)
    assert "BEGIN" not in manage("sqlmigrate", "shop", "0003")
    manage("migrate", "shop")
    assert "[X] 0003_concurrently" in manage("showmigrations", "shop")


@slow
def back_and_again():
    manage("migrate", "shop", "0001")
    assert "[ ] 0002_changed" in manage("showmigrations", "shop")
    manage("migrate", "shop", "zero")
    manage("migrate")


def own_project():
    import os

    import django

    sys.path.insert(0, str(project))
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    from django.db import connections
    from shop import models

    return models, connections


def in_threads(work):
    """Each thread has a connection of its own, as each request's has."""
    from django.db import connections

    def one(i):
        try:
            return work(i)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(one, range(THREADS)))


@check
def orm():
    import datetime
    import decimal

    from django.db import IntegrityError, transaction
    from django.db.models import Count, F, Sum

    models, connections = own_project()
    for alias in ["default", "kept", "bound"]:
        shops, orders = models.Shop.objects.using(alias), models.Order.objects.using(alias)
        shops.all().delete()
        shop = shops.create(name="first")
        orders.bulk_create(
            models.Order(
                shop=shop,
                price=decimal.Decimal(i) / 4,
                extra={"i": i},
                tags=["all", f"t{i}"],
                taken=datetime.timedelta(hours=i),
                file=bytes([i % 256]),
                day=datetime.date(2020, 1, 1),
            )
            for i in range(500)
        )
        found = orders.get(extra__i=7)
        assert (found.price, found.tags, found.taken) == (
            decimal.Decimal("1.75"),
            ["all", "t7"],
            datetime.timedelta(hours=7),
        )
        assert bytes(found.file) == b"\x07"
        assert orders.filter(tags__contains=["t9"]).count() == 1
        assert orders.aggregate(all=Sum("price"))["all"] == decimal.Decimal("31187.50")
        orders.filter(extra__i__lt=10).update(paid=True, note=F("note"))
        with transaction.atomic(using=alias):
            try:
                with transaction.atomic(using=alias):
                    shops.create(name="first")
                raise AssertionError("no error")
            except IntegrityError:
                pass
            shops.create(name="second")
        assert [s.n for s in shops.annotate(n=Count("orders")).order_by("name")] == [500, 0]
        assert shops.get_or_create(name="second")[1] is False
        assert shops.update_or_create(name="third", defaults={})[1] is True
        found.friends.add(*shops.all())
        assert found.friends.count() == 3
        connections[alias].close()


@check
def server_side_cursors():
    from django.db import transaction

    models, _ = own_project()
    orders = models.Order.objects
    with transaction.atomic():
        assert sum(1 for _ in orders.iterator(chunk_size=50)) == 500
        first = iter(orders.iterator(chunk_size=50))
        next(first)
        first.close()

    # Without a transaction around it this is a cursor WITH HOLD.
    def read(_):
        for _ in range(3):
            seen = 0
            for order in orders.iterator(chunk_size=50):
                seen += 1
                if seen % 100 == 0:
                    assert models.Shop.objects.filter(id=order.shop_id).exists()
            assert seen == 500

    in_threads(read)


@check
def row_locks():
    from django.db import transaction

    models, _ = own_project()
    models.Shop.objects.create(name="counted")
    models.Order.objects.filter(extra__i=0).update(extra={"i": 0, "count": 0})

    def count(_):
        for _ in range(10):
            with transaction.atomic():
                order = models.Order.objects.select_for_update().get(extra__i=0)
                order.extra["count"] += 1
                order.save()

    in_threads(count)
    assert models.Order.objects.get(extra__i=0).extra["count"] == 10 * THREADS
    with transaction.atomic():
        taken = models.Order.objects.select_for_update(skip_locked=True, of=("self",))[:3]
        assert len(taken) == 3


@check
def time_zone_of_a_connection():
    models, connections = own_project()

    def look(i):
        alias = "tokyo" if i % 2 else "default"
        for _ in range(20):
            with connections[alias].cursor() as cursor:
                cursor.execute("SHOW timezone")
                assert cursor.fetchone() == ("Asia/Tokyo" if i % 2 else "UTC",), alias
                cursor.execute("SELECT '2020-01-01 00:00+00'::timestamptz::text")
                assert cursor.fetchone()[0] == ("2020-01-01 09:00:00+09" if i % 2 else "2020-01-01 00:00:00+00")
                cursor.execute("SHOW search_path")
                assert cursor.fetchone()[0] == (SCHEMA if SCHEMA != "public" else '"$user", public')

    in_threads(look)


@check
def short_lived():
    """A request: connect, one query, close."""
    models, connections = own_project()

    def request(_):
        for _ in range(10):
            assert models.Shop.objects.filter(name="first").exists()
            connections["default"].close()

    in_threads(request)


@slow
def sessions_and_fixtures():
    own_project()
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    User.objects.filter(username="u").delete()
    user = User.objects.create_user("u", password="p")
    store = SessionStore()
    store["who"] = user.pk
    store.save()
    assert SessionStore(store.session_key)["who"] == user.pk
    manage("dumpdata", "auth.user", "shop", "--output", "dump.json")
    manage("flush", "--no-input")
    assert not User.objects.exists()
    assert "Installed" in manage("loaddata", "dump.json")
    assert User.objects.filter(username="u").exists()
    assert "class ShopOrder(" in manage("inspectdb")


def tests(*arguments):
    said = manage("test", "--no-input", *arguments)
    assert "Ran 3 tests" in said and "OK" in said, said


@slow
def its_own_tests():
    tests()


@slow
def its_own_tests_kept():
    tests("--keepdb")
    tests("--keepdb")
    tests()


@slow
def its_own_tests_in_parallel():
    tests("--parallel", "2")


run_all()
