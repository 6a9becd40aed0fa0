# make demo   a simulated flight, tracked: needs Python 3.10 to 3.12 and nothing else
# make test   every test that this machine can run; `make test-fast` leaves out the slow ones
# make lint   ruff and pyright
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# The CPU-only build of PyTorch, which PyPI itself does not carry, from wherever pip is told to look; then from
# PyTorch's own index. `make test TORCH=torch==2.13.0` takes PyPI's build instead: gigabytes of CUDA libraries.
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test test-fast lint format clean

demo: $(VENV)/.demo
	$(BIN)/edge-rgbt demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
		|| { echo "edge-rgbt needs Python 3.10 to 3.12; try make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) \
		|| { echo "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) '$(TORCH)' 2>/dev/null \
		|| $(PIP) '$(TORCH)' --index-url $(TORCH_INDEX) \
		|| { echo "no CPU-only PyTorch for this Python here; 'make test TORCH=torch==2.13.0' takes the CUDA build" >&2; exit 1; }
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
