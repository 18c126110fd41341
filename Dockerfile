# Two stages: a compiler that stays behind, and the program with nothing but libc.
FROM rust:1.95-slim-bookworm AS build
# jemalloc is built with make.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src ./src
# The registry and the objects are kept between builds; only the program leaves the cache.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin pgusher \
    && cp target/release/pgusher /pgusher

# libc, libgcc and certificates; no shell, no package manager. `nonroot` is user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /pgusher /usr/local/bin/pgusher
EXPOSE 6432 9930
# Asks the address in [http] for /healthz; there is no shell or curl here to do it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/pgusher", "health", "--config", "/etc/pgusher/pgusher.toml"]
# SIGTERM drains: clients finish their transactions.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/pgusher"]
CMD ["serve", "--config", "/etc/pgusher/pgusher.toml"]
