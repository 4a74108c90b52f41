# Every target works on a fresh clone: what needs the environment makes .venv first.
# From outside: TINYTORCH_DATA_DIR (where the datasets are), PYTHON (which Python to build .venv from).

PYTHON  ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
WORKERS ?= 2
BIN     := $(CURDIR)/.venv/bin
ENV     := .venv/.installed

MILESTONES := 1 2 3 4 5 6

perceptron := 01_1957_perceptron/perceptron_trained.py
xor        := 02_1969_xor_crisis/xor_solved.py
mlp        := 03_1986_mlp_revival/mlp_digits.py 03_1986_mlp_revival/mlp_mnist.py
cnn        := 04_1998_cnn_revolution/cnn_digits.py 04_1998_cnn_revolution/lecun_cifar10.py
transformer := 05_2017_transformer_era/vaswani_sequences.py 05_2017_transformer_era/vaswani_grammar.py \
               05_2017_transformer_era/vaswani_shakespeare.py
systems    := 06_2024_systems_age/optimize_models.py

.DEFAULT_GOAL := help
.PHONY: help setup oracle test milestones grade bench data lint docs clean
.PHONY: $(MILESTONES:%=milestone-%)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '  make %-12s %s\n' milestone-N 'train milestone N with live progress, then grade it, N from 1 to 6'

$(ENV): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(ENV) ## make .venv with the library and everything that develops it

oracle: $(ENV) ## add PyTorch and JAX to .venv, for the parity tests and the benchmarks
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,oracle]'

test: $(ENV) ## run the tests of the library
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore tests/grading --ignore tests/cli

milestone-1: $(ENV)
	$(call train_and_grade,perceptron)
milestone-2: $(ENV)
	$(call train_and_grade,xor)
milestone-3: $(ENV)
	$(call train_and_grade,mlp)
milestone-4: $(ENV)
	$(call train_and_grade,cnn)
milestone-5: $(ENV)
	$(call train_and_grade,transformer)
milestone-6: $(ENV)
	$(call train_and_grade,systems,--left results/06_2024_systems_age/optimize_models)

milestones: $(ENV) ## train and grade every milestone
	@failed=; \
	for n in $(MILESTONES); do $(MAKE) --no-print-directory milestone-$$n || failed="$$failed $$n"; done; \
	if [ -n "$$failed" ]; then echo "FAILED: milestone$$failed"; exit 1; fi; \
	echo "met: milestones $(MILESTONES)"

grade: $(ENV) ## grade every milestone, without the show
	$(BIN)/python -m pytest grading

bench: $(ENV) ## time the workloads beside the peers that are installed (make oracle), into results/bench.json
	$(BIN)/python -m benchmarks

data: $(ENV) ## fetch and check every dataset
	$(BIN)/python milestones/data_manager.py

lint: $(ENV) ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(ENV) ## write the API reference to docs/_build
	$(BIN)/pdoc --output-directory docs/_build tinytorch

clean: ## remove what the other targets wrote, except .venv and the datasets
	rm -rf build dist docs/_build results .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

# $(call train_and_grade,NAME) runs the scripts of $(NAME) live, all of them even if one misses its mark, then
# what `pytest grading -k NAME` grades, with the flags $(2), but for the tests of the grader itself. Exit code 3
# of a script means that its dataset cannot be had: said, and no failure.
define train_and_grade
	@failed=; skipped=; \
	for script in $($(1)); do \
	  code=0; $(BIN)/python milestones/$$script || code=$$?; \
	  case $$code in 0) ;; 3) skipped="$$skipped $$script" ;; *) failed="$$failed $$script (exit code $$code)" ;; esac; \
	done; \
	$(BIN)/python -m pytest $(wildcard grading/test_0*.py) -k $(1) $(2) || failed="$$failed grading"; \
	for script in $$skipped; do echo "SKIPPED: $$script: its dataset is not available, see its message above"; done; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed"; exit 1; fi
endef
