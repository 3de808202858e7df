# Everything runs from a fresh machine with Linux, root, Go >= 1.26, Node >= 20 and the package registries.
# The Node 24 of the project comes from npm; the cluster is built from Go modules and cached.
SHELL := /bin/bash
NODE := node_modules/.bin/node
CLUSTER := $(NODE) test/cluster/main.ts
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help demo demo-open demo-down test bench images cluster-up cluster-down check-tools
.DEFAULT_GOAL := help

help:
	@echo 'make demo        the tutorial, live: a cluster, Istio, Sidestep, one promotion, one rollback'
	@echo 'make demo-open   its productpage and Prometheus in a browser of this machine'
	@echo 'make demo-down   removes what make demo left running'
	@echo 'make test        all tests; ends with "N passed, N failed"'
	@echo 'make bench       measures, and compares with Flagger'
	@echo 'make cluster-up, make cluster-down, make images   the embedded cluster alone'

demo: node_modules/.stamp
	@SIDESTEP_CLUSTER=$${SIDESTEP_CLUSTER:-sidestep-demo} $(NODE) test/demo/main.ts

demo-open: node_modules/.stamp
	@SIDESTEP_CLUSTER=$${SIDESTEP_CLUSTER:-sidestep-demo} $(CLUSTER) forward 9080=productpage.bookinfo:9080 9090=prometheus.istio-system:9090

demo-down: node_modules/.stamp
	@SIDESTEP_CLUSTER=$${SIDESTEP_CLUSTER:-sidestep-demo} $(CLUSTER) down

test: node_modules/.stamp
	@$(NODE) test/run.ts

bench: node_modules/.stamp
	@$(NODE) test/bench/main.ts

images cluster-up cluster-down: node_modules/.stamp
	@$(CLUSTER) $(subst cluster-,,$@)

node_modules/.stamp: package-lock.json | check-tools
	npm ci --no-audit --no-fund
	@touch $@

check-tools:
	@[ "$$(uname -s)" = Linux ] || { echo 'Linux is needed: the cluster uses its namespaces'; exit 1; }
	@[ "$$(id -u)" = 0 ] || [ -n "$$SIDESTEP_KUBECONFIG" ] || { echo 'root is needed to start the embedded cluster (or set SIDESTEP_KUBECONFIG to one of your own)'; exit 1; }
	@command -v go >/dev/null || [ -n "$$SIDESTEP_KUBECONFIG" ] || { echo 'Go >= 1.26 is needed: the embedded cluster is built from Go modules'; exit 1; }
	@command -v npm >/dev/null || { echo 'Node >= 20 with npm is needed'; exit 1; }
