# One image for webhook, analyzer and the wait of Helm hooks: Node and three bundles (made by `npm run build`), no shell, no package manager, nothing to run at build time.
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot
FROM ${BASE_IMAGE}
COPY --chmod=0555 dist/webhook.mjs dist/analyzer.mjs dist/wait.mjs dist/licenses.txt /app/
# Distroless keeps Node in /nodejs/bin.
ENV PATH=/nodejs/bin:/usr/local/bin:/usr/bin:/bin NODE_ENV=production
USER 65532:65532
ENTRYPOINT ["node"]
CMD ["/app/webhook.mjs"]
