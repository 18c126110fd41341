//! `docs/metrics.md`, written from the table of metrics.

use std::fmt::Write as _;

use super::table::ALL;

const HEAD: &str = r#"# Metrics

`GET /metrics` at `[http] address` answers in Prometheus's text format, or in OpenMetrics if the
`Accept` header prefers that. This page is written from `src/metrics/table.rs` by
`cargo test --test reference`: change it there.

```toml
[http]
address = "127.0.0.1:9930"

[metrics]
max_tenants = 1000    # tenants with series of their own
```

- **`database` and `user`** name a pool: the database as clients ask for it, and who logs in to the
  server. A pool that nobody uses keeps its series, and counts on when it is used again. Behind
  10,000 of them the rest is counted together, under two empty labels.
- **Histograms** have the bounds 50 µs, 100 µs, 200 µs, 500 µs, 1 ms … 50 s.
- **Counters begin at 0 with the process** and never go back while it lives.
- **What pgusher asks for itself** (the tenant's context, a client's settings, cleaning) is not
  counted as queries or transactions, nor in their times beyond the time it takes.

## Tenants

There may be a hundred thousand tenants, and nobody wants as many series. Those with the most to see
of them lately (server time, waiting, transactions, errors, refusals) have series of their own, at
most `max_tenants`. All others are added up under `kind="other", tenant="_other"`, so that a sum over
all series is always the whole. `kind` is `tenant`, or `user` for a user that works without one.

- A tenant keeps its series until another one has twice as much to see of it. Then it goes into
  `_other` with what comes from then on: what it has used before stays out of that, and `rate()` of
  neither makes a jump.
- A tenant that comes back counts on from where its series ended, as long as it is among the last
  ten times `max_tenants` that left; otherwise from 0, which `rate()` takes for the restart that it is.
  What it used in between was counted in `_other`.
- `max_tenants = 0` switches the series of tenants off; `_other` is then the sum of all.
- Histograms are kept by tier, not by tenant.

## All metrics

| metric | type | labels | meaning |
|---|---|---|---|
"#;

const TAIL: &str = r#"
## What it costs

Counting a transaction takes 40 ns (`cargo run --release --bin metering` in `benches/counts`). With all that is noted of
clients, tenants and tiers beside it, pgusher executes 600 to 820 instructions more for a transaction than before there were
metrics, of about 10,000 (callgrind, pgbench's point read, simple and prepared, with a tenant and without); in processor time
that was less than what one run differs from the next. An account takes 566 bytes, 48 of them for what metrics need.

A scrape with 6,000 tenants in memory took 6 ms at the default of 1,000 series (700 kB), and 15 ms with
`max_tenants = 10000` (4 MB), the transfer included, on a machine with two processors. It runs on a thread that relays nothing.

## The process

Beside all these there are the usual `process_*` metrics: CPU seconds, resident and virtual memory, open
files and their limit, threads, start time.
"#;

/// The page.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let (name, kind, about) = (metric.name, metric.kind.name(), metric.about);
        let _ = writeln!(
            out,
            "| `{name}` | {kind} | {} | {about} |",
            labels.join(", ")
        );
    }
    out + TAIL
}
