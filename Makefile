# make demo   the whole job on built-in synthetic scenes, in minutes on a laptop CPU
# make test   the test suite           make lint    style and types
# make bench  timings against peers    make clean   forget the environment
.DELETE_ON_ERROR:
.PHONY: demo test lint bench clean

export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK = 1

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  if command -v $$name >/dev/null 2>&1 \
    && $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
  then echo $$name; break; fi; done)
BIN := .venv/bin
READY := .venv/.ready

demo: $(READY)
	$(BIN)/python -m yolo_prune demo --out runs/demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(READY)
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

# Written only after everything is installed, so a run that is cut off is begun again.
$(READY): setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "received no Python 3.11, 3.12 or 3.13; expected one on the PATH;" \
	  "install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --prefer-binary -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
