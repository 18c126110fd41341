# The only interface to building and testing. `make demo` and `make test` need Rust, make and a
# package manager; what else is missing they install (scripts/).

CARGO ?= cargo
# Versions of PostgreSQL that the tests run against.
POSTGRES := 15 18
ARGS ?=

.PHONY: help test check rust postgres drivers suites demo scanner bench counts docs build image

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

test: check postgres ## everything that must hold before a change is merged
	@echo "== tests: units, architecture, PostgreSQL $(POSTGRES)"
	$(CARGO) test --locked
	@echo "== traces, which are not built in by default"
	$(CARGO) test --locked --features traces --lib traces
	$(CARGO) test --locked --features traces --test traces
	@echo "== instructions of the hot paths"
	@if command -v valgrind >/dev/null; then $(MAKE) --no-print-directory counts; \
		else echo "not counted: valgrind is missing"; fi
	@echo "== all tests passed"

check: rust ## the gates that need no database: format, lints, layers
	@echo "== format"
	$(CARGO) fmt --check
	@echo "== lints"
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --features traces -- -D warnings
	@echo "== the pure core builds without a runtime, and nothing of it is for one"
	$(CARGO) clippy --locked --lib --no-default-features -- -D warnings
	@echo "== what measures it builds"
	@for package in counts uring; do \
		$(CARGO) check --locked --manifest-path benches/$$package/Cargo.toml \
			--target-dir $${CARGO_TARGET_DIR:-target}/$$package || exit 1; done

rust:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: see https://rustup.rs"; exit 1; }

postgres: ## find or install the PostgreSQL versions of the tests
	@echo "== PostgreSQL $(POSTGRES)"
	@scripts/postgres.sh $(POSTGRES)

drivers: rust postgres ## drivers and ORMs against pgusher (ARGS=orms: those; needs python3, npm, java, ruby, chromium; SCREENSHOTS=1: docs/img; their own tests: suites)
	@scripts/drivers.sh
	$(CARGO) test --locked --test drivers -- --ignored --test-threads 2 $(ARGS)

suites: rust postgres ## the drivers' own tests, with and without pgusher: long (ARGS="psycopg3 asyncpg")
	python3 scripts/suites.py $(ARGS)

demo: rust ## a throwaway PostgreSQL with pgusher in front (ARGS=--once: look and leave)
	@bin=$${PGUSHER_PG_BIN:-$$(scripts/postgres.sh 15)} && \
		PGUSHER_PG_BIN=$$bin $(CARGO) run --locked --release --quiet -- demo $(ARGS)

scanner: rust ## how SQL is read, judged by PostgreSQL's own parser (needs cc and libclang)
	cd tests/scanner && $(CARGO) test --locked

bench: rust ## measure against PostgreSQL alone, PgBouncer and bare relays (ARGS=--quick; docs/performance.md has the other questions)
	$(CARGO) build --locked --release
	python3 benches/compare.py $(ARGS)

counts: rust ## instructions of the hot paths against their budgets (ARGS=--write: make them so)
	python3 benches/counts.py $(ARGS)

docs: rust ## write the pages that are generated from the code again
	@# The test rewrites what is stale and fails; the second run must find nothing to do.
	-@$(CARGO) test --locked --quiet --no-fail-fast --test reference --test traps >/dev/null 2>&1
	$(CARGO) test --locked --test reference --test traps

build: rust ## the program as it is shipped
	$(CARGO) build --locked --release

image: ## a container image
	docker build -t pgusher .
