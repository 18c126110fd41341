# The only interface to building and testing. `make demo` and `make test` need Rust, make and a
# package manager; what else is missing they install (scripts/).

CARGO ?= cargo
# Versions of PostgreSQL that the tests run against.
POSTGRES := 15 18
ARGS ?=

.PHONY: help test check postgres demo bench docs build image

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

test: check postgres ## everything that must hold before a change is merged
	@echo "== tests: units, architecture, PostgreSQL $(POSTGRES)"
	$(CARGO) test --locked --all-targets
	$(CARGO) test --locked --doc
	@echo "== all tests passed"

check: ## the gates that need no database: format, lints, layers
	@echo "== format"
	$(CARGO) fmt --check
	@echo "== lints"
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@echo "== the pure core builds without a runtime"
	$(CARGO) check --locked --lib --no-default-features

postgres: ## find or install the PostgreSQL versions of the tests
	@echo "== PostgreSQL $(POSTGRES)"
	@scripts/postgres.sh $(POSTGRES)

demo: ## a throwaway PostgreSQL with pgusher in front (ARGS=--once: look and leave)
	@scripts/postgres.sh 15 >/dev/null
	$(CARGO) run --locked --release --quiet -- demo $(ARGS)

bench: ## measure against PostgreSQL alone and PgBouncer
	$(CARGO) build --locked --release
	benches/run.sh $(ARGS)

docs: ## write the pages that are generated from the code again
	UPDATE_EXPECT=1 PGUSHER_WRITE_DOCS=1 $(CARGO) test --locked --test docs

build: ## the program as it is shipped
	$(CARGO) build --locked --release

image: ## a container image
	docker build -t pgusher .
