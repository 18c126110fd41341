"""What the checks of tenants share. Two tenants have rows in the table orders, under policies as
`pgusher policy --default` prints them: any connection that has its tenant sees its own sum. The
table copied has no policies (COPY FROM refuses tables that have), but keeps whose row it is.
"""

from checks import URL

SUM = "SELECT sum(n) FROM orders"
SUMS = {"acme": 6, "globex": 30}
FOREIGN = "INSERT INTO orders VALUES ('initech', 0)"
COPIED = "SELECT count(*), min(tenant_id), max(tenant_id) FROM copied"


def urls(tenant, *more):
    """The URLs that name this tenant: by options, by the user's name, and `more` queries."""
    queries = [f"?options=-c%20app.tenant_id%3D{tenant}", *(query + tenant for query in more)]
    named = URL.replace("//app:", f"//app.{tenant}:")
    assert named != URL
    for url in [*(URL + query for query in queries), named]:
        yield url
        print(f"url     {url}", flush=True)
