# Martlet alone, without an engine: put it before servers elsewhere, or bring a llama-server (below).
#
#   docker build -t martlet .
#   docker run -p 3000:3000 -v martlet:/var/lib/martlet -e MARTLET_AUTH_TOKENS=sha256:… martlet \
#       serve --upstream http://host.docker.internal:1234
#
# On Linux that name is known in a container only when it is run with --add-host=host.docker.internal:host-gateway.
#
# It listens on all of the container's addresses, so it refuses to start until it has a token's SHA-256 in
# MARTLET_AUTH_TOKENS, or is told with MARTLET_AUTH_REQUIRED=off that everyone who reaches it may use it.

# Debian 12 like the image below: a program linked against a later C library would not start there.
FROM swift:6.3-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Package.swift names the folders of the tests too.
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
# `-s` leaves the symbols out, half of 160 MB: nothing in the image could print them in a crash's backtrace. A core dump is
# read with a build of the same commit that has them.
RUN swift build -c release --static-swift-stdlib --product martlet -Xlinker -s \
    && install -D -m 755 .build/release/martlet /out/martlet

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/martlet --create-home martlet
COPY --from=build /out/martlet /usr/local/bin/martlet
ENV MARTLET_HOME=/var/lib/martlet MARTLET_SERVER_HOST=0.0.0.0
# Configuration, models, engines. A llama-server of your own goes on PATH, in an image made from this one; the ready package
# of `martlet engine install` needs python3 and python3-pip there.
VOLUME /var/lib/martlet
USER martlet
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["martlet", "health"]
ENTRYPOINT ["martlet"]
CMD ["serve"]
