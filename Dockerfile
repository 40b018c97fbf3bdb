# The image is the static binary and an empty /data. Build the binaries first, from the repository root:
#   cross/build.sh x86_64 aarch64
#   buildah bud --format docker -t myceliumd .        (or docker build; --format docker keeps the HEALTHCHECK)
# cross/image.sh does both architectures and joins them in one manifest.
FROM scratch

# Set by the builder from --platform: amd64, arm64, or arm with variant v7.
ARG TARGETARCH=amd64
ARG TARGETVARIANT=
ARG VERSION=unknown
ARG REVISION=unknown

LABEL org.opencontainers.image.title="myceliumd" \
      org.opencontainers.image.description="Mycelium field simulation, streaming features and a durable outbox" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --chmod=0555 dist/${TARGETARCH}${TARGETVARIANT}/myceliumd /myceliumd
# A tree that contains only data/: copied this way it gets the owner, so a new volume belongs to the user below.
COPY --chown=65532:65532 dist/rootfs/ /

# Loopback inside a container cannot be reached from outside, so the daemon listens on every address here, and
# API__PUBLIC confirms it. The published port decides who can connect. A key is always required.
ENV STATE_DIRECTORY=/data \
    MYCELIUMD_API__LISTEN=0.0.0.0:8600 \
    MYCELIUMD_API__PUBLIC=true

# Numeric, so that `runAsNonRoot` can be checked without a passwd file.
USER 65532:65532
VOLUME /data
EXPOSE 8600
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["/myceliumd", "health"]
ENTRYPOINT ["/myceliumd"]
