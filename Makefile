# Every target only delegates; `make help` lists them.
.DEFAULT_GOAL := help
PYTEST := .venv/bin/pytest
KEEP ?=
LABELS ?=
MONTHS ?=
SEED ?=

.PHONY: help setup demo simulate test test-tf images e2e e2e-down e2e-kvm lint bench lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## make the environments .venv and .venv-serve
	@.ci/environment

demo: setup ## bring a model from real data to production on this machine (KEEP=1 leaves it running)
	@.venv/bin/rookery demo $(if $(KEEP),--keep)

simulate: setup ## play a year: the loop beside a model that is left alone (MONTHS=12 SEED=6 KEEP=1)
	@.venv/bin/rookery simulate $(if $(MONTHS),--months $(MONTHS)) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)

test: ## everything that is tested, with real processes; installs what the tests need
	@.ci/environment --tests
	@OMP_NUM_THREADS=1 $(PYTEST) tests -n 3 --dist loadfile --no-loadscope-reorder --quiet --ignore tests/e2e/cluster --ignore tests/e2e/kvm --ignore tests/e2e/labels

test-tf: ## Terraform alone: format, validation, rules and addresses with mock providers; a part of `make test`
	@.ci/environment --tests
	@$(PYTEST) tests/tf --quiet

images: ## build the platform's images (REGISTRY=host:port pushes them, TRAIN=1, LABELS=1 also the large ones)
	@.ci/images $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(TRAIN),--train) $(if $(LABELS),--labels)

e2e: ## the whole job on a real Kubernetes: builds what is missing, starts three nodes, runs the playbooks, tests
	@.ci/environment --tests
	@.ci/e2e

e2e-down: ## remove the cluster that `make e2e` made; what was built stays cached
	@.venv/bin/python -m tests.cluster down

e2e-kvm: ## Terraform and the first playbooks on three virtual machines; slow without hardware virtualisation
	@.ci/environment --tests
	@$(PYTEST) tests/e2e/kvm --quiet -s

lint: setup ## ruff, mypy, rendered templates
	@.venv/bin/ruff format --check services workflows tests
	@.venv/bin/ruff check services workflows tests
	@.venv/bin/mypy
	@.venv/bin/rookery render --check

test-labels: ## labelling with the real Label Studio and a browser; installs it (1 GB, two minutes)
	@.ci/environment --tests
	@.ci/environment --labels
	@$(PYTEST) tests/e2e/labels --quiet

bench: setup ## measure beside what a user would pick instead; prints tables
	@.venv/bin/python -m tests.bench

lock: setup ## pin every package again from pyproject.toml
	@.ci/lock

clean: ## remove the environments and the platform's state
	rm -rf .venv .venv-serve .venv-labels .cache .rookery
