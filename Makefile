# make demo    train, judge and report a classifier of handwritten digits, from nothing
# make test    the whole suite, lint and the import contract, in an environment of its own
# make lint    lint, the import contract, and the types of all code (two minutes)
# make browser answer images in Chromium with an exported classifier; needs npm and Chromium
# make cluster predict on a cluster of Ray of two workers, of which one is killed; installs Ray (0.3 GB, minutes)
# make bench   the measurements of benchmarks/, written to results/
# make zoo     ask every promise of every model and every judge, written to results/ (hours)
# make zoo-train CIFAR10=<folder of the binary batches>   one small network of each family on CIFAR-10 (an hour and a half)
# make docs    run the commands of every page, and write their outputs, the figures and the reference pages

PYTHON ?= python3
# Another build of torch, as a package index: make demo TORCH_INDEX=<the index that torch's install page names>
TORCH_INDEX ?=

INSTALL = -m pip install --quiet --disable-pip-version-check -c constraints.txt
USER := .venv/bin
TEST := .venv-test/bin

.PHONY: demo test lint style browser cluster bench docs resume-study zoo zoo-train clean

demo: .venv/ready
	@$(USER)/python examples/demo.py

test: .venv-test/ready style
	$(TEST)/python -m pytest -n 2 --dist worksteal

# Pyright takes a sixth less time if the young generation of its garbage collector is larger.
lint: style
	NODE_OPTIONS=--max-semi-space-size=128 $(TEST)/pyright --pythonpath $(TEST)/python

style: .venv-test/ready
	$(TEST)/ruff check .
	$(TEST)/ruff format --check .
	$(TEST)/lint-imports

browser: .venv-test/ready
	npm install --silent --no-save --ignore-scripts --prefix .venv-test/web onnxruntime-web@1.30.0
	STRIATE_ORT_WEB=$(CURDIR)/.venv-test/web/node_modules/onnxruntime-web/dist $(TEST)/python -m pytest tests/exporting/test_browser.py

cluster: .venv-test/ready
	$(TEST)/python $(INSTALL) -e '.[cluster]'
	STRIATE_CLUSTER=1 $(TEST)/python -m pytest tests/predicting/test_cluster.py

bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks

zoo: .venv-test/ready
	STRIATE_FAMILIES=all $(TEST)/python -m pytest -n 2 --dist worksteal tests/contract tests/judges/test_zoo.py
	$(TEST)/python benchmarks/zoo.py --write

zoo-train: .venv-test/ready
	$(TEST)/python benchmarks/zoo_train.py $(CIFAR10) --write

resume-study: .venv-test/ready
	$(TEST)/python benchmarks/resume_study.py --write

docs: .venv-test/ready
	$(TEST)/python docs/refresh.py

clean:
	rm -rf .venv .venv-test build src/*.egg-info

.venv/ready: pyproject.toml constraints.txt
	@echo "Installing Striate into .venv (about 0.3 GB to download with the CPU build of torch) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Striate needs Python 3.11 or newer; choose one with: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv
	@$(USER)/python $(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(USER)/python $(INSTALL) -e .
	@touch $@

.venv-test/ready: pyproject.toml constraints.txt
	@$(PYTHON) -m venv .venv-test
	@.venv-test/bin/python $(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@.venv-test/bin/python $(INSTALL) -e '.[dev]'
	@touch $@

.venv-bench/ready: pyproject.toml constraints.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python $(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@.venv-bench/bin/python $(INSTALL) -e '.[bench]'
	@touch $@
