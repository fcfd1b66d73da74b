# One image for every node and for the migrations; SERVICEDIR chooses what a container runs.
# The tag is of the docker-library list of August 2026.
FROM node:24.19.0-bookworm-slim AS base
WORKDIR /app

FROM base AS packages
COPY package.json package-lock.json .npmrc ./
# No install script: every native part comes prebuilt inside its package.
RUN npm ci --omit=dev --ignore-scripts

FROM base
ENV NODE_ENV=production
COPY --from=packages /app/node_modules ./node_modules
COPY package.json moleculer.config.ts moleculer.policies.ts ./
COPY lib ./lib
COPY mixins ./mixins
COPY models ./models
COPY scripts ./scripts
COPY services ./services
USER node
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=2s CMD ["node", "scripts/health.ts"]
# In exec form node is process 1 and gets SIGTERM itself: the node leaves the mesh before it ends.
ENTRYPOINT ["node"]
CMD ["--v8-pool-size=0", "--import", "./scripts/v8.ts", "node_modules/moleculer/bin/moleculer-runner.mjs", "--config", "moleculer.config.ts", "--mask", "**/*.service.ts"]
