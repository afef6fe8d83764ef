# OpenAMS. `make run` shows the meter, `make test` tests it; both set up all they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Of an environment with nothing but what runs: sooner there.
RUNS := $(VENV)/.runs

.PHONY: release run chain test venv lint bench campaign docs lock clean firmware mpy bench-chip

# Tests and builds start Python hundreds of times: what it compiled once is kept (__pycache__).
unexport PYTHONDONTWRITEBYTECODE

# WEB: port of its web page; 0 takes 8080, or a free one.
WEB ?= 0
run: $(if $(wildcard $(STAMP)),$(STAMP),$(RUNS))
	$(BIN)/ams run --scenario tests/data/kaifa_ma304h3e_2017-09-15.csv --han-format kaifa --han-open --web $(WEB)

# All of it in one command: meters, nets, concentrators, collection, validation, Elhub, report.
chain: $(STAMP)
	$(BIN)/ams chain --meters 50 --days 2 --seed 7

# A file of tests stays with one process: what they start and share they start once. Half of their
# time they wait for meters that run in real time, so there are two processes for each core.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

venv: $(STAMP)

$(STAMP): pyproject.toml requirements.lock tools/venv.sh tools/install.py
	PYTHON=$(PYTHON) sh tools/venv.sh $(VENV) requirements.lock
	touch $@

$(RUNS): pyproject.toml requirements-run.lock tools/venv.sh tools/install.py
	PYTHON=$(PYTHON) sh tools/venv.sh $(VENV) requirements-run.lock
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_esp32.py

bench: $(STAMP)
	$(BIN)/python tools/bench/run.py

# The firmware image of a board: build/$(BOARD)/firmware.uf2. MICROPYTHON=DIR builds from a checkout.
BOARD ?= pico
firmware:
	$(PYTHON) tools/firmware/build.py $(BOARD) $(if $(MICROPYTHON),--micropython $(MICROPYTHON))

# The same as .mpy files for MicroPython as it comes: build/$(BOARD)/mpy, with package.json for mip.
mpy: $(STAMP)
	$(BIN)/python -m openams.flashing.package $(BOARD)

# Everything of a release, in dist/: the same octets from the same commit.
release: $(STAMP)
	$(BIN)/python tools/release/build.py

# The documentation as pages, in build/docs: index.html needs no server and no network.
docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict

# The budgets of the design, counted in cycles of the emulated RP2040.
bench-chip: $(STAMP)
	$(BIN)/python tools/bench/run_chip.py

# Runs that are too long for every commit; each prints its seed.
campaign: $(STAMP)
	OPENAMS_CAMPAIGN=1 $(BIN)/python -m pytest -m campaign --timeout 0

# Pins every dependency with its hashes, for Python 3.11 and later. The override: dsmr-parser
# asks for an old dlms-cosem, for encrypted telegrams only; both are for tests.
lock:
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra dev --extra docs --extra plot --extra headend --extra bus \
		--override tools/overrides.txt \
		--no-emit-index-url --no-annotate --no-header -q -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes -c requirements.lock \
		--no-emit-index-url --no-annotate --no-header -q -o requirements-run.lock pyproject.toml tools/building.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
