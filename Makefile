# Two commands: `make demo` (a verdict from your own machine) and `make test` (every check).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test slow fuzz fast bench gallery audit clean

demo: $(VENV)/.local
	@$(BIN)/slotwise models pull smollm2-135m
	@$(BIN)/slotwise run workloads/research-digest.yaml --repeats 4 --warmup 0
	@echo
	@echo "A bigger model changes this, and so does a GPU. Predicted for an H100 with an 8B model:"
	@echo "  $(BIN)/slotwise simulate workloads/research-digest.yaml --profile h100-8b --engine ollama --model big"
	@echo "With your model, on your own Ollama:"
	@echo "  $(BIN)/slotwise run workloads/research-digest.yaml --engine ollama --model NAME"

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/slotwise models pull smollm2-135m
	$(BIN)/pytest -m "not engine and not slow" --numprocesses 4
	$(BIN)/pytest -m "engine and not slow"

slow: $(VENV)/.dev
	$(BIN)/pytest -m slow --numprocesses 4

# Random inputs for every reader: `make fuzz SECONDS=600 SEED=7`; what breaks one is saved below build/fuzz/.
fuzz: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

# Compiles what simulates, in a copy, and puts it beside its files; SLOTWISE_INTERPRETED=1 runs the files. It needs a C
# compiler, and a minute.
FAST := build/fast
fast: $(VENV)/.local
	rm -rf $(FAST) && mkdir -p $(FAST)
	cp -R pyproject.toml mypyc.ini README.md LICENSE agents workloads profiles harness $(FAST)
	cd $(FAST) && HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(abspath $(BIN))/pip wheel --quiet --disable-pip-version-check --no-deps .
	$(BIN)/python -c "import zipfile, sys; w = zipfile.ZipFile(sys.argv[1]); \
	  w.extractall('.', [n for n in w.namelist() if n.endswith(('.so', '.pyd'))])" $(FAST)/*.whl
	@$(BIN)/slotwise doctor | grep -A1 simulation

bench: $(VENV)/.dev
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

# Real reports into reports/gallery/: an hour on an idle machine. PROFILE=epyc-2core OUT=/tmp/g predicts them instead.
gallery: $(VENV)/.local
	@$(BIN)/slotwise models pull smollm2-135m
	@$(BIN)/python benchmarks/gallery.py $(if $(OUT),--out $(OUT)) $(if $(PROFILE),--profile $(PROFILE)) $(NAMES)

# Known weaknesses of the packages that are installed, from the package index. A package that it cannot tell about is a failure.
AUDIT := build/audit
audit: $(VENV)/.dev
	@test -x $(AUDIT)/bin/pip-audit || ($(PYTHON) -m venv $(AUDIT) && \
	  $(AUDIT)/bin/pip install --quiet --disable-pip-version-check pip-audit)
	@$(BIN)/pip freeze --disable-pip-version-check --exclude-editable > $(AUDIT)/installed.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement $(AUDIT)/installed.txt

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[local]'
	@touch $@

$(VENV)/.dev: $(VENV)/.local
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist *.so harness/*/*.so
