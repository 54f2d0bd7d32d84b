# The command `pleiad`. From the root of a clone:
#
#     docker build -t pleiad .
#     docker run --rm -v "$PWD":/data pleiad init log.parquet --out config.toml
#
# The folder with the log is /data, where the command runs. It runs as user 1000; `--user "$(id -u):$(id -g)"` makes it another.

FROM rust:1.89-bookworm AS build
WORKDIR /pleiad
COPY Cargo.toml Cargo.lock ./
COPY crates crates
RUN cargo install --locked --path crates/cli --root /out

FROM debian:bookworm-slim
COPY --from=build /out/bin/pleiad /usr/local/bin/pleiad
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["pleiad"]
CMD ["--help"]
