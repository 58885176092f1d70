# docker build -t mailconsole .
# docker run --rm -p 2500:2500 -p 11000:11000 -v mail:/mail mailconsole
#
# With no arguments it catches all mail (--profile catch) for the user `mail`. Arguments replace that:
# docker run --rm -it mailconsole --dir /mail --user bob --bind 0.0.0.0        (the console)
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --locked --release

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /mail --create-home mailconsole
COPY --from=build /source/target/release/mailconsole /usr/local/bin/mailconsole
USER mailconsole
VOLUME /mail
# echo, SMTP, POP3
EXPOSE 10000 2500 11000
# Without these, other machines, and so the host, could not connect.
ENV MAILCONSOLE_BIND=0.0.0.0
HEALTHCHECK CMD ["mailconsole", "status", "/mail"]
ENTRYPOINT ["mailconsole"]
CMD ["--no-tui", "--dir", "/mail", "--user", "mail", "--profile", "catch"]
