# Linux and macOS. Windows: see README.md, `pip install -e .` and `sslab lab`.
#
#   make lab        open JupyterLab on the first notebook      PORT=8899 OPEN=0 IP=0.0.0.0
#   make test       run the tests, two at a time               ARGS="-k simclr" WORKERS=0
#   make notebooks  build both editions of every notebook from notebooks/source/
#   make course     run every notebook once in class mode, check the claims, keep the executed copies in runs/executed
#   make evidence   make the records behind the claims (hours; resumable)
#   make site       the site, in runs/site/html (runs the notebooks that were not run yet)  EXECUTED=DIR
#   make bench      measure throughput and the probe against other libraries
#   make lint       ruff
#   make lecturer   lecturer's edition and slides of every notebook, into runs/lecturer and runs/slides
#   make lock       move every pin in requirements.lock to its newest version
#
# The first run makes .venv and installs into it. On Linux without a GPU, TORCH_INDEX=URL on that first run
# names the index of torch's small CPU build (its address: pytorch.org, "Get Started", CPU).
# PYTHON=python3.12 picks the Python.

PORT ?= 8888
OPEN ?= 1
IP ?= 127.0.0.1
ARGS ?=
WORKERS ?= 2
EXECUTED ?=
TORCH_INDEX ?=
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: lab test notebooks course evidence site bench lint lock lecturer

lab: $(INSTALLED)
	@$(BIN)/sslab lab --port $(PORT) --ip $(IP) $(if $(filter 0 no false,$(OPEN)),--no-open,--open)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

notebooks: $(INSTALLED)
	$(BIN)/sslab course build

course: $(INSTALLED)
	$(BIN)/sslab course run --output runs/executed

evidence: $(INSTALLED)
	$(BIN)/sslab course evidence

site: $(VENV)/docs
	$(BIN)/sslab course site $(if $(EXECUTED),--executed "$(EXECUTED)")

bench: $(INSTALLED)
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/probe.py

# Figures and times are those of the executed copies in runs/executed, where there are any: `make course` makes them.
lecturer: $(VENV)/slides
	@mkdir -p runs/executed
	$(BIN)/sslab course lecturer --executed runs/executed --output runs/lecturer
	$(BIN)/sslab course slides --executed runs/executed --output runs/slides

lint: $(INSTALLED)
	$(BIN)/ruff check .

lock: $(INSTALLED)
	$(BIN)/python -m pip install --upgrade --upgrade-strategy eager -e ".[dev,onnx,teach,docs,slides]"
	$(BIN)/python tools/lock.py
	@touch $(INSTALLED)

# torch comes first and without its dependencies, so that nothing else is taken from TORCH_INDEX; the second
# install finds it there and adds the rest.
$(INSTALLED): pyproject.toml requirements.lock
	@sh tools/venv.sh "$(VENV)" "$(PYTHON)"
	@echo "sslab: installing into $(VENV); the first time this takes a few minutes, and pip says nothing for most of them after \"Installing collected packages\""
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --no-deps --index-url "$(TORCH_INDEX)" "$$(grep '^torch==' requirements.lock)")
	$(BIN)/python -m pip install -c requirements.lock -e ".[dev]"
	@touch $@

# An extra, where it is wanted for the first time: from then on no network is needed.
$(VENV)/docs $(VENV)/slides: $(INSTALLED)
	$(BIN)/python -m pip install -q -c requirements.lock -e ".[$(@F)]"
	@touch $@
