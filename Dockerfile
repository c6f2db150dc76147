# The gateway, without a compiler and without root.
#   docker build -t waystone .
#   docker run -p 1883:1883 -p 127.0.0.1:8484:8484 -v waystone:/var/lib/waystone waystone
#   docker exec <container> waystone status

FROM node:20-bookworm-slim AS build
# better-sqlite3 and secp256k1 are compiled where npm has no binary for the platform.
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 make g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# The manifests alone, so that a change of source does not install everything again.
COPY package.json package-lock.json .npmrc ./
COPY proto/package.json proto/
COPY device-sdk/package.json device-sdk/
COPY firmware-bridge/package.json firmware-bridge/
COPY gateway/package.json gateway/
COPY test/package.json test/
RUN npm ci
COPY tsconfig.json ./
COPY proto proto
COPY device-sdk device-sdk
COPY firmware-bridge firmware-bridge
COPY gateway gateway
COPY test test
RUN npm run build \
 && chmod +x gateway/dist/cli/main.js \
 && npm prune --omit=dev

FROM node:20-bookworm-slim
# Verifies secp256k1 signatures faster than the copy that npm brings.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libsecp256k1-1 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV NODE_ENV=production \
    # Fewer heaps of malloc for its threads.
    MALLOC_ARENA_MAX=2 \
    WAYSTONE_HOME=/var/lib/waystone \
    # A container's loopback is of no use to anyone; which ports are open is decided by "docker run -p".
    WAYSTONE_MQTT_HOST=0.0.0.0 \
    WAYSTONE_HTTP_HOST=0.0.0.0
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/proto/package.json proto/
COPY --from=build /app/proto/dist proto/dist
COPY --from=build /app/proto/generated proto/generated
COPY --from=build /app/device-sdk/package.json device-sdk/
COPY --from=build /app/device-sdk/dist device-sdk/dist
COPY --from=build /app/firmware-bridge/package.json firmware-bridge/
COPY --from=build /app/firmware-bridge/dist firmware-bridge/dist
COPY --from=build /app/firmware-bridge/recordings firmware-bridge/recordings
COPY --from=build /app/gateway/package.json gateway/
COPY --from=build /app/gateway/node_modules gateway/node_modules
COPY --from=build /app/gateway/dist gateway/dist
COPY --from=build /app/gateway/answers/page gateway/answers/page
RUN ln -s /app/gateway/dist/cli/main.js /usr/local/bin/waystone \
 && install -d -m 0700 -o node -g node /var/lib/waystone
USER node
VOLUME /var/lib/waystone
EXPOSE 1883 8484
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8484/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--single-threaded-gc", "gateway/dist/cli/main.js", "start", "--init"]
