# CamTrust. Two commands matter: `make demo` and `make test`. `make help` lists the rest.
# Everything Python lives in .venv/. Once installed, nothing here needs a network but `make lock`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
DEMO_HOME ?= demo-home
PORT ?= 8440
JOBS ?= 2
SOAK_MINUTES ?= 10
FUZZ_SECONDS ?= 300
SOAK_KEYS ?= 100000
SOAK_ENROLMENTS ?= 1000
SOAK_CERTIFICATES ?= 2000000
FUZZ_COUNT ?= 5000
ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python
CAMTRUST := $(VENV)/bin/camtrust
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
SOURCES := camtrust root_ca issuing_ca ekyc identity signing hsm_emulation foundation tests bench

# The documents of the tests, where they lie beside the repository. Tests that need them are left out without them.
ifndef CAMTRUST_TEST_DATA
ifneq ($(wildcard ../shared/data/pdfs),)
export CAMTRUST_TEST_DATA := $(realpath ../shared/data)
endif
endif

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PYTHONUNBUFFERED := 1

.PHONY: help tables demo test check bench soak fuzz rehearsal serve clean lock packages verifier

help:
	@echo "make demo        set up, then tell the whole story once into $(DEMO_HOME)/ (DEMO_PDFS=dir: sign these)"
	@echo "make test        set up (system packages too, when root), then run every test"
	@echo "make check       format, lint, types, import contracts"
	@echo "make tables      write the tables of the documents anew that come from the code"
	@echo "make bench       rates of issuing, status, timestamps, signing and verifying, beside the raw cost"
	@echo "make soak        both key stores under stress, 100,000 citizens' keys, 2 million certificates, then the demo again and again for SOAK_MINUTES=$(SOAK_MINUTES)"
	@echo "make fuzz        malformed DER at every door of the issuing CA, FUZZ_COUNT=$(FUZZ_COUNT) at each, and signed PDFs for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make rehearsal   a root ceremony, rehearsed where there is no network"
	@echo "make verifier    build/camtrust-verify.pyz: the offline verifier as one file"
	@echo "make serve       all services on 127.0.0.1:$(PORT), with the home of the demo"
	@echo "make lock        write requirements/*.lock anew from pyproject.toml (needs a network)"
	@echo "make clean       remove $(VENV)/, demo-home/, caches and build products"

, := ,

# $(call say,text): what is being done.
say = @printf '\n== %s\n' "$(1)"

# $(call install,lock file,what): what the lock names, nothing else, hashes checked; then this project itself.
define install
	@printf '== Installing %s (%s packages, hashes checked)\n' "$(2)" "$$(grep -c '^[a-z0-9].*==' $(1))"
	@$(RUN) -m pip install --progress-bar off --require-hashes -r $(1) | { n=0; while read -r line; do \
	   case "$$line" in \
	   Collecting*|Ignoring*|'Requirement already satisfied'*) n=$$((n + 1)); if ((n % 20 == 0)); then echo "   $$n packages"; fi ;; \
	   Installing*) echo "   $$n packages; writing them" ;; \
	   ERROR*) echo "   $$line" ;; \
	   esac; done; }
	@$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(RUN):
	$(call say,Making the virtual environment $(VENV)/)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	   echo "CamTrust needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not there)."; \
	   echo "Name another one: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@[ -e $(VENV) ] || fresh=yes; $(PYTHON) -m venv $(VENV) || { \
	   [ -z "$${fresh:-}" ] || rm -rf $(VENV); echo "The module venv is missing or broken. On Debian: apt-get install python3-venv"; exit 1; }

$(RUNTIME): requirements/runtime.lock pyproject.toml | $(RUN)
	$(call install,$<,what CamTrust runs on)

$(DEV): requirements/dev.lock pyproject.toml | $(RUN)
	$(call install,$<,what CamTrust is developed with)

demo: $(RUNTIME)
	@$(CAMTRUST) demo --home "$(DEMO_HOME)" \
	   && echo "make demo: done. Everything it made is in $(DEMO_HOME)/." \
	   || { code=$$?; echo "make demo: FAILED (exit code $$code); the reason stands above."; exit $$code; }

# Debian packages of the programs that judge our output. Only when one is missing is anything installed.
packages: $(DEV)
	@missing=$$($(RUN) tests/programs.py --missing); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then \
	   echo "The tests need programs that are not installed. As root: apt-get install $$missing"; exit 1; fi; \
	echo "== Installing Debian packages: $$missing"; \
	install() { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; }; \
	install 2>/dev/null || { apt-get update -qq && install; }; \
	left=$$($(RUN) tests/programs.py --missing); \
	if [ -n "$$left" ]; then echo "Still missing after the installation: $$left"; exit 1; fi

test: $(DEV) packages
	$(call say,Running every test in $(JOBS) processes)
	@$(RUN) -m pytest -n $(JOBS) $(ARGS) \
	   && echo "make test: all tests passed." || { echo "make test: FAILED; the reasons stand above."; exit 1; }

check: $(DEV)
	$(call say,Format)
	@$(RUN) -m ruff format --no-cache --check $(SOURCES)
	$(call say,Lint)
	@$(RUN) -m ruff check --no-cache $(SOURCES)
	$(call say,Types)
	@$(RUN) -m mypy
	$(call say,Import contracts)
	@$(VENV)/bin/lint-imports --verbose 2>&1 | grep -E 'KEPT|BROKEN|Contracts:|->|not allowed'
	$(call say,Tables of the documents)
	@$(RUN) -m camtrust.cp_cps --check
	@echo "make check: format, lint, types and import contracts are as they should be."

tables: $(DEV)
	@$(RUN) -m camtrust.cp_cps

bench: $(DEV) packages
	@$(RUN) -m bench

soak: $(DEV) packages
	$(call say,Both key stores under threads$(,) forks and 100 cold starts)
	@CAMTRUST_SOAK=1 $(RUN) -m pytest -q --timeout 900 tests/keys/test_stress.py
	$(call say,A hundred thousand citizens' keys in one token)
	@$(RUN) -m bench.hsm_soak $(SOAK_KEYS)
	$(call say,An issuing CA with $(SOAK_CERTIFICATES) certificates beside an empty one)
	@$(RUN) -m bench.ca_soak $(SOAK_CERTIFICATES)
	$(call say,$(SOAK_ENROLMENTS) enrolments while the server is killed 20 times)
	@$(RUN) -m bench.enrolments $(SOAK_ENROLMENTS) 20
	$(call say,The demo again and again for $(SOAK_MINUTES) minutes)
	@end=$$((SECONDS + $(SOAK_MINUTES) * 60)); n=0; \
	while ((SECONDS < end)); do n=$$((n + 1)); begin=$$SECONDS; \
	   $(CAMTRUST) demo --home "$(DEMO_HOME)" >"$(VENV)/soak.log" 2>&1 \
	      || { tail -n 40 "$(VENV)/soak.log"; echo "make soak: FAILED in round $$n."; exit 1; }; \
	   echo "   round $$n: $$((SECONDS - begin)) s"; done; \
	echo "make soak: $$n rounds without a failure."

fuzz: $(DEV) packages
	$(call say,Malformed DER at every door of the issuing CA$(,) $(FUZZ_COUNT) at each; ways of enrolments)
	@seed=$${FUZZ_SEED:-$$RANDOM}; echo "   FUZZ_SEED=$$seed"; \
	CAMTRUST_FUZZ=$(FUZZ_COUNT) CAMTRUST_FUZZ_SEED=$$seed $(RUN) -m pytest -q -n $(JOBS) tests/ca/test_malformed_der.py tests/ekyc/test_ekyc_machine.py \
	   && echo "make fuzz: every door answered." || { echo "make fuzz: FAILED with FUZZ_SEED=$$seed."; exit 1; }
	$(call say,Signed PDFs changed at random for $(FUZZ_SECONDS) seconds)
	@$(RUN) -m tests.attacks.fuzz $(FUZZ_SECONDS)

rehearsal: $(RUNTIME)
	$(call say,A whole root ceremony on throwaway tokens)
	@alone=$$(unshare --map-root-user --net true 2>/dev/null && echo unshare --map-root-user --net || true); \
	   $$alone $(RUN) -m camtrust.rehearsal \
	   && echo "make rehearsal: done; nothing was kept." || { echo "make rehearsal: FAILED; the reason stands above."; exit 1; }

serve: $(RUNTIME)
	@$(CAMTRUST) serve --home "$(DEMO_HOME)" --port $(PORT)

# One file that verifies documents wherever there is this Python on this platform; nothing is fetched for it.
verifier: $(DEV)
	@$(RUN) -m camtrust.verifier_archive build/camtrust-verify.pyz \
	   && echo "make verifier: done. python build/camtrust-verify.pyz FILE"

# The lock names versions and hashes, and no index host. What runs is locked first; development stays on the same versions.
lock: $(DEV)
	@compile() { $(RUN) -m uv --quiet pip compile --universal --python-version 3.11 --generate-hashes \
	   --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml "$$@"; }; \
	compile --extra all -o requirements/runtime.lock; \
	compile --extra dev --constraint requirements/runtime.lock -o requirements/dev.lock
	@echo "make lock: requirements/runtime.lock and requirements/dev.lock are written."

clean:
	@rm -rf $(VENV) demo-home build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "make clean: done."
