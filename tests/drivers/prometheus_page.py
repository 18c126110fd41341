"""/metrics as Prometheus's own library for Python reads it, which is strict about OpenMetrics."""

import os
import time
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

URL = os.environ["METRICS_URL"]
# What goes on while nobody does anything.
MOVING = ("process_",)


def page(accept):
    request = urllib.request.Request(URL, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def samples(families):
    """What each family is, and the value of each of its samples."""
    kinds, values = {}, {}
    for family in families:
        kinds[family.name] = (family.type, family.documentation)
        assert family.documentation, family
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in values, f"twice: {key}"
            values[key] = sample.value
    return kinds, values


def both():
    kind, text = page("text/plain;version=0.0.4")
    assert kind == "text/plain; version=0.0.4; charset=utf-8", kind
    old = samples(prometheus(text))
    kind, text = page("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind
    assert text.endswith("\n# EOF\n")
    return old, samples(openmetrics(text))


deadline = time.monotonic() + 20
while True:
    (old_kinds, old), (new_kinds, new) = both()
    assert old_kinds == new_kinds, set(old_kinds.items()) ^ set(new_kinds.items())
    still = [{k: v for k, v in page.items() if not k[0].startswith(MOVING)} for page in (old, new)]
    if still[0] == still[1] and old.keys() == new.keys():
        break
    # A connection may have been opened or cleaned between the two.
    assert time.monotonic() < deadline, set(still[0].items()) ^ set(still[1].items())

labels = [dict(labels) for _, labels in new]
assert {"acme", "_other"} <= {it.get("tenant") for it in labels}
assert os.environ["HOSTILE_NAME"] in {it.get("database") for it in labels}
print(f"{len(new)} samples of {len(new_kinds)} families")
