# The command `pleiad`. From the root of a clone:
#
#     docker build -t pleiad .
#     docker run --rm -v "$PWD":/data pleiad init log.parquet --out config.toml
#     docker run --rm -v "$PWD":/data -p 8080:8080 pleiad serve run/model --http 0.0.0.0:8080 --token-file tokens
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
EXPOSE 8080
ENTRYPOINT ["pleiad"]
CMD ["--help"]
