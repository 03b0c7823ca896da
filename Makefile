# The front door. Everything else is CMake with the presets of CMakePresets.json.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
# What `make demo` asks the package index in the end; empty: a handful of its own questions.
QUERY ?=
CTEST := ctest --output-on-failure --no-tests=error -j $(JOBS)
# Where `make python-suites` fetches from, if not from the projects' own repositories.
SUITES ?=
# What `make bench` hands to bench/compare.py: --fresh-builds, say.
BENCH ?=

# Draws results: one that has matplotlib makes plots too.
PYTHON ?= python3

# What `make peers` compares, and a Python that has the peers' wheels; docs/report.md.
PEERS ?= --data sift-1m
PEER_PYTHON ?= python3

define build_preset
	cmake --preset $(1) >/dev/null
	cmake --build --preset $(1) -j $(JOBS)
endef

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

deps: ## install the Debian packages of packages.txt (as root), or say which are missing
	@tools/install_deps.sh

build: ## build everything into build/
	@$(call build_preset,release)

demo: deps ## index this machine's Debian packages and search them: QUERY="mail server"
	@cmake --preset release >/dev/null
	cmake --build --preset release -j $(JOBS) --target package_search
	./build/examples/package_search $(if $(QUERY),--query "$$QUERY")
export QUERY

demo-server: deps ## a Redis server with vector sets of this machine's Debian packages: QUERY="mail server"
	@cmake --preset release >/dev/null
	cmake --build --preset release -j $(JOBS) --target shoal_vset
	python3 bindings/valkey/demo.py --module build/bindings/valkey/module/libshoal_vset.so --build build $(if $(QUERY),--query "$$QUERY")

test: deps ## the library's tests, with the build some thirteen minutes on two cores
	@tools/run_tests.sh test $(JOBS)

check: deps ## linters, programs, benchmarks, installation, models, mutants, sanitizers
	@tools/run_tests.sh check $(JOBS)

python-test: ## the Python package: an sdist, a virtual environment, its tests; LangChain's, Haystack's, ... (in make check)
	@python3 bindings/python/tests/run.py --source . --build build
	python3 bindings/python/tests/run.py --source . --build build --suites packages

server-test: deps ## the module inside Redis 7 and Valkey 8 on loopback, other clients' tests, Redis 8 beside it
	@cmake --preset release >/dev/null
	cmake --build --preset release -j $(JOBS) --target shoal_vset
	$(CTEST) --test-dir build -R '^Server\.' -E 'LongRuns|Valkey9'

python-suites: ## other libraries' own tests against the package, fetched now: SUITES="--hnswlib URL --diskannpy URL"
	@python3 bindings/python/tests/run.py --source . --build build --suites $(SUITES)

python-figures: build ## overhead of a call, batches beside C++, ticks of another thread, leaks: on an idle machine
	@python3 bindings/python/tests/run.py --source . --build build --figures

wheel: ## one wheel for every Python from 3.10 on, into out/wheels, checked by auditwheel
	@python3 bindings/python/tests/run.py --source . --build build --wheel out/wheels

site: ## the documentation site for users, into build/site
	@mkdocs build --quiet --clean

sanitize: deps ## the concurrency tests, but the long ones, under AddressSanitizer and ThreadSanitizer
	@tools/run_tests.sh sanitize $(JOBS)

stress: deps ## the long tests, everything under both sanitizers, the models
	@tools/run_tests.sh stress $(JOBS)

bench: build ## the jobs of building and searching, into out/bench: an hour with all peers
	@tools/run_bench.sh $(BENCH)

streams: build ## the jobs of points that come and go, into out/streams: two hours with all peers
	@tools/run_streams.sh

report: ## tables and plots of docs/report/*.json, beside them (plots: python3-matplotlib)
	@for results in docs/report/*.json; do
	  $(PYTHON) bench/report.py $$results -o $${results%.json}.md --title "$$(basename $$results .json)"
	done

peers: build ## shoal and the peers that are here, taking turns: out/peers.md (bench/compare.py --help)
	@mkdir -p out
	@if command -v cargo >/dev/null; then
	  RUSTFLAGS="-C target-cpu=native" cargo build --quiet --release --locked \
	    --manifest-path bench/peer_hannoy/Cargo.toml --target-dir build/peer_hannoy
	  cp build/peer_hannoy/release/peer_hannoy build/bench/
	else
	  echo "left out: hannoy, as cargo is not here"
	fi
	python3 bench/compare.py $(PEERS) --python $(PEER_PYTHON) --out out/peers.json
	$(PYTHON) bench/report.py out/peers.json -o out/peers.md --title "shoal and its peers"

format: ## format all C++ files
	@git ls-files -co --exclude-standard '*.h' '*.cc' | xargs -r clang-format-16 -i

tidy: ## clang-tidy and the lock analysis over src and include (a part of make check)
	@cmake --preset release >/dev/null
	$(CTEST) --test-dir build -L tidy

install: build ## install into PREFIX (/usr/local)
	@cmake --install build --prefix $(PREFIX)

package: build ## Debian packages and a .tar.gz, into out/packages
	@cpack --config build/CPackConfig.cmake -B out/packages >/dev/null
	@rm -rf out/packages/_CPack_Packages
	@ls out/packages

clean: ## remove the build directories
	@rm -rf build build-debug build-asan build-tsan

.PHONY: help deps build demo demo-server test check python-test python-suites python-figures server-test wheel site sanitize stress bench streams report peers format tidy install package clean
