# Poiesis: everything a person types. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
RELEASE := .build/release
DEBUG := .build/debug
VENV := .build-tests/venv
# Each worker of the end-to-end tests has an engine of its own, which only root can start; one that is shared takes one worker.
WORKERS := $(shell [ "$$(id -u)" = 0 ] && [ -z "$$POIESIS_TEST_ENGINE" ] && echo 2 || echo 1)
SPEC := --document spec/tes/1.1.0/openapi.yaml \
	--reference https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml=spec/tes/1.1.0/service-info.yaml \
	--overlay spec/overlay.yaml --persistence spec/persistence.yaml

.NOTPARALLEL:
.PHONY: help demo test check build build-debug setup setup-tests test-swift test-end-to-end lint bench bench-lists release image test-kubernetes format schema clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: ## install what building and running needs
	@scripts/setup

setup-tests:
	@scripts/setup --tests

build: setup ## build bin/poiesis and bin/poiesis-exec
	swift build -c release --product poiesis
	swift build -c release --product poiesis-exec
	@mkdir -p bin && install $(RELEASE)/poiesis $(RELEASE)/poiesis-exec bin/

demo: setup-tests build ## run real tasks on real data and show their results
	@scripts/demo

test: setup-tests lint test-swift test-end-to-end ## run all tests

check: setup-tests lint test-swift ## the tests that need under three minutes, once things are built
	@mkdir -p .build-tests/bin && install $(DEBUG)/poiesis $(DEBUG)/poiesis-exec .build-tests/bin/
	POIESIS_BIN=$(CURDIR)/.build-tests/bin/poiesis $(VENV)/bin/pytest -q -n $(WORKERS) --dist loadfile \
		Tests/EndToEnd/test_api_http.py Tests/EndToEnd/test_running.py

build-debug:
	swift build --build-tests

test-swift: build-debug
	@scripts/test-swift

# The optimised programs, as they are shipped.
test-end-to-end: build
	swift build --product tes-generate
	POIESIS_BIN=$(CURDIR)/bin/poiesis $(VENV)/bin/pytest Tests/EndToEnd -q -n $(WORKERS) --dist loadfile

lint: ## check formatting
	@swift format lint --strict --recursive Package.swift Plugins Sources Tests Benchmarks Examples

format: ## format the Swift sources in place
	@swift format --in-place --recursive Package.swift Plugins Sources Tests Benchmarks Examples

schema: build-debug ## write docs/reference/schema.sql from spec/
	$(DEBUG)/tes-generate print --ddl $(SPEC) > docs/reference/schema.sql

bench: build ## measure; figures go to docs/performance.md
	@Benchmarks/run
	swift build -c release --product json-benchmark
	@$(RELEASE)/json-benchmark
	swift build -c release --product cluster-benchmark
	@$(RELEASE)/cluster-benchmark

bench-lists: build ## measure lists of 1,000,000 tasks (about 15 minutes, 6 GB below /tmp)
	@Benchmarks/lists

release: setup ## pack dist/poiesis-VERSION-linux-ARCH.tar.gz, with Swift's libraries inside
	@scripts/release

# IMAGE=name:tag names it, BASE=image is what it is built on instead of this machine's packages.
image: setup ## build the container image into dist/ (and the engine)
	@scripts/release-image

# Tests/Kubernetes/README.md has the variables, which make hands on.
test-kubernetes: setup-tests $(if $(IMAGE),,image) ## test on the cluster that KUBECONFIG names (IMAGE=… or IMPORT=…)
	@$(VENV)/bin/pytest Tests/Kubernetes -v $(TESTS)

clean: ## remove what was built
	rm -rf .build .build-tests bin dist
