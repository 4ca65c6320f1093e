# Everything that can be done in this repository. `make` alone lists it.
CACHE ?= $(or $(RAYSPAN_CACHE),$(HOME)/.cache/rayspan)
UV := $(or $(shell command -v uv),$(CACHE)/uv/bin/uv)
RUN := $(UV) run --frozen --quiet
PYTEST := $(RUN) pytest --durations=5
BESIDE_RAY = PYTHONPATH=.:operator:serving_image:tests/serving:tests/faults $(CACHE)/serving-env/bin/python
SOURCES := operator/rayspan dev docs tests
KEY := $(CACHE)/cluster/master-key

# The cluster of `make cluster`, never the one that the shell happens to point at.
export KUBECONFIG := $(CACHE)/cluster/kubeconfig
export PATH := $(CACHE)/bin:$(dir $(UV)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: env ## From nothing to a completion across two nodes, shown step by step
	@python3 -m dev.demo

test: ## Everything that CI runs, in an order that fails fast; installs what it needs
	@$(MAKE) --no-print-directory --jobs 3 env serving-env programs
	@$(MAKE) --no-print-directory lint unit cluster images api serving e2e
	@[ -z "$$CI" ] || python3 -m dev down >/dev/null

cluster: programs ## A real Kubernetes with three nodes and KubeRay on this machine
	@python3 -m dev up

cluster-down: ## Remove the cluster; programs and images stay cached
	@python3 -m dev down

images: serving-env ## Build the operator's and the serving image, and bring them into the cluster's nodes
	@python3 -m dev images

install: ## Install or upgrade the operator in the cluster with Helm, from this checkout
	@python3 -m dev.demo --only-install

run: env $(KEY) ## Run the operator from this checkout against the cluster, in place of the installed one
	@kubectl apply --server-side --force-conflicts -f crds && kubectl -n rayspan-system scale deployment/rayspan --replicas=0 || true
	@$(RUN) rayspan run --key-file $(KEY) --serving-image localhost/rayspan/serving:dev --listen-host 127.0.0.1

lint: env types ## Style, types, import contracts, drift of generated files
	@$(RUN) ruff check . && $(RUN) ruff format --check --quiet . && $(RUN) lint-imports
	@$(RUN) python -m docs.generate --check

types: env ## mypy, strict
	@$(RUN) mypy $(SOURCES) --exclude '^tests/(serving/|faults/|load/(gpu_split|split|serving_path|percentiles))' # those run in the serving environment

scan: env ## checkov, kube-score and kubesec on the rendered chart
	@$(RUN) python -m dev.scan $(OPTIONS)

sbom: env ## Bills of materials of both images' Python packages, CycloneDX, in dist/
	@mkdir -p dist && for each in .:operator serving_image:serving; do \
	  $(UV) export --quiet --frozen --no-dev --format cyclonedx1.5 --directory $${each%:*} >dist/rayspan-$${each#*:}.cdx.json; done

licences: env ## Licences of the operator's dependencies; fails on one that was not looked at yet
	@$(RUN) python -m dev.licences

release: env programs ## Check that this can be released, and put all files of a release into dist/
	@$(RUN) python -m dev.release check && $(RUN) python -m dev.release package

unit: env programs ## Tests without a cluster: planner, renderer, report, command line, chart
	@$(PYTEST) tests/unit tests/golden

api: env ## Tests against the cluster's API server: the CRD's rules, the client, the loop
	@$(PYTEST) tests/api

generated: env ## Thousands of generated deployments, bad ones and chains of edits on an API server; OPTIONS=--deployments 5000
	@$(RUN) python -m tests.generated $(OPTIONS)

serving: serving-env ## Tests of what runs inside Ray, with real Ray and vLLM and without Kubernetes
	@$(CACHE)/serving-env/bin/python -m pytest -c serving_image/pyproject.toml tests/serving

e2e: env ## Tests on the whole cluster: KubeRay, Ray Serve and vLLM for real
	@$(PYTEST) -m "not long" tests/e2e

e2e-long: env ## What takes longest and is not part of `make test`, but for the baseline
	@$(PYTEST) -m long -s tests/e2e/test_new_cluster.py tests/e2e/test_upgrade.py tests/e2e/test_api_keys.py

not-serving: env ## Each cause of serving nothing, made for real, and what the diagnosis says of it
	@$(PYTEST) -m "" -s tests/e2e/test_not_serving.py

baseline: env ## The failures again, and the same ones of a RayService written by hand, to compare
	@$(PYTEST) -m "" tests/e2e/test_failures.py tests/e2e/test_baseline.py

scale: env programs ## A thousand deployments on an API server: how fast, how large, how quiet, beside KubeRay alone
	@$(RUN) python -m tests.load.scale $(OPTIONS)

split: serving-env ## vLLM's split of a model against the planned one, on CPU, by turns
	@$(BESIDE_RAY) tests/load/split.py $(OPTIONS)

path: serving-env ## What the serving path adds to an engine, beside the vLLM router; OPTIONS=--scaling: over replicas
	@$(BESIDE_RAY) tests/load/serving_path.py $(OPTIONS)

percentiles: serving-env ## Percentiles of the status against the client's own, 50 ms to 30 s, with restarts in between
	@$(BESIDE_RAY) tests/load/percentiles.py $(OPTIONS)

faults: serving-env ## Faults made on purpose on the real Ray Serve, and the verdict found for each
	@$(BESIDE_RAY) tests/faults/lab.py $(OPTIONS)

faults-real: serving-env ## Some of them on real vLLM
	@$(BESIDE_RAY) tests/faults/real_engine.py $(OPTIONS)

fault-matrix: env programs ## The operator with one thing broken at a time between it and its API server; OPTIONS="--scenario S --fault F"
	@$(RUN) python -m tests.matrix $(OPTIONS)

crds: env ## Write all generated files anew: the CRD, its copy in the chart, the reference
	@$(RUN) python -m docs.generate

golden: env ## Write the expected objects in tests/golden anew; review the diff
	@UPDATE_GOLDEN=1 $(RUN) pytest --quiet tests/golden; git diff --stat tests/golden

env: $(UV) ## The Python environment in .venv, as uv.lock has it
	@$(UV) sync --frozen --quiet

serving-env: $(UV) ## Ray and vLLM for machines without a GPU, outside the checkout
	@sh serving_image/environment.sh $(CACHE)/serving-env

programs: ## Kubernetes, containerd, KubeRay and Helm: found, downloaded or built
	@python3 -m dev build

clean: ## Remove what the tools leave in the checkout
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

# The installed operator's master key, so that tokens stay as they are when this checkout's takes over.
$(KEY):
	@kubectl -n rayspan-system get secret rayspan-master-key --template='{{.data.key}}' 2>/dev/null | base64 -d | grep . >$@ \
	  || head -c 48 /dev/urandom | base64 --wrap 0 >$@

$(UV):
	@python3 -m venv $(CACHE)/uv || { apt-get install -y -qq python3-venv && python3 -m venv $(CACHE)/uv; }
	@$(CACHE)/uv/bin/pip install --quiet uv==0.13.8
