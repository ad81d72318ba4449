# Two commands matter: `make demo` (raw text to a changed model) and `make test`. Each makes the environments it needs.
# Another interpreter than the first that runs: make test PYTHON=/path/to/python3.12
SHELL := bash
export PYTHON PYTHON310
# Where it is set, no bytecode is kept, and every start of train.py compiles its libraries anew: 26 s instead of 10.
unexport PYTHONDONTWRITEBYTECODE
LOCAL := .venv-local/bin
CPU := .venv-cpu/bin
# In the order of their names: else the files of few tests come last, which are the longest, and one worker ends alone.
PYTEST := -m pytest --timeout=300 -n 2 --dist loadfile --no-loadscope-reorder
SHELL_FILES := $(wildcard *.sh scripts/*.sh tests/*.sh) .ci/run
# Every line would carry the marker of both machines; what is left without it is the part that says something.
MAC := platform_machine == 'arm64' and sys_platform == 'darwin'
BOX := platform_machine == 'x86_64' and sys_platform == 'linux'
COMPILE = UV_PYTHON_DOWNLOADS=never uv pip compile --quiet --universal --python-version 3.10 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)

# Sets $$found, empty where no Python 3.10 runs.
FIND_310 = found=; for python in "$${PYTHON310:-}" python3.10 "$$(pyenv root 2>/dev/null)"/versions/3.10.*/bin/python3.10; do \
	if "$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; then found=$$python; break; fi; done

.PHONY: help demo corpus-report bench bench-train test test-data test-setup-cpu test-data310 test-remote lint setup-local setup-cpu lock clean
.DEFAULT_GOAL := help

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

demo: setup-local setup-cpu  ## from sample texts to a tuned 135M model and a report, on this machine
	$(LOCAL)/python scripts/demo.py

corpus-report: setup-local  ## what came in, was kept, was lost and why, as a page: data/processed/corpus_report.html
	$(LOCAL)/python scripts/corpus_report.py

bench:  ## deduplication: ours and its peers in turns, precision and recall against the exact truth, scaling, a plot
	@./setup_local.sh --add bench
	$(LOCAL)/python scripts/bench_dedup.py

bench-train: setup-local setup-cpu  ## training: ours and a plain TRL script in turns, speed, memory and loss (about 15 minutes)
	$(LOCAL)/python scripts/bench_train.py

setup-local:  ## .venv-local: data tools, no torch
	@./setup_local.sh

setup-cpu:  ## .venv-cpu: the training stack with torch for the CPU
	@./setup_remote.sh --cpu

lint:  ## ruff and shellcheck
	@./setup_local.sh --dev
	$(LOCAL)/ruff check .
	$(LOCAL)/shellcheck -x $(SHELL_FILES)

test:  ## every test: the data half in .venv-local (on Python 3.10 too where there is one), the training half in .venv-cpu
	@./setup_local.sh --dev --add praw --add teacher --add sky
	@$(MAKE) --no-print-directory -j2 test-data test-setup-cpu
	@$(MAKE) --no-print-directory test-data310
	OMP_NUM_THREADS=1 $(CPU)/python $(PYTEST) tests/training

test-data:
	$(LOCAL)/python $(PYTEST) tests --ignore=tests/training

test-setup-cpu:  # beside the first tests: one process, which waits for the disk and the network much of the time
	@./setup_remote.sh --cpu --dev

test-data310:  ## the data half's tests on Python 3.10, the reference, where one runs and .venv-local is another
	@if $(LOCAL)/python -V | grep -q ' 3\.10\.'; then exit 0; fi; \
	$(FIND_310); \
	if [ -z "$$found" ]; then \
		echo "No Python 3.10 runs here: its tests are left out. To include them: make test PYTHON310=/path/to/python3.10"; exit 0; \
	fi; \
	PYTHON="$$found" ./setup_local.sh --dev --into .venv-local-3.10 && \
	exec .venv-local-3.10/bin/python $(PYTEST) tests --ignore=tests/training -m 'not machine'

test-remote:  ## the GPU box's environment from nothing (torch for CUDA 12.8: 8 GB, minutes), and the trainer's tests in it on the CPU
	@$(FIND_310); \
	if [ -z "$$found" ]; then echo "No Python 3.10 runs here. Try: make test-remote PYTHON310=/path/to/python3.10"; exit 1; fi; \
	exec tests/remote_from_nothing.sh "$$found"

lock:  ## resolve the requirements-*.in files anew, keeping pins that still fit (UPGRADE=--upgrade lifts them)
	@uv --version || { echo "make lock needs uv. Try: pip install uv"; exit 1; }
	$(COMPILE) requirements-remote.in -o requirements-remote.txt
	$(COMPILE) -c requirements-remote.txt requirements-local.in -o requirements-local.txt
	$(COMPILE) -c requirements-remote.txt -c requirements-local.txt requirements-dev.in -o requirements-dev.txt
	$(COMPILE) -c requirements-local.txt requirements-praw.in -o requirements-praw.txt
	$(COMPILE) -c requirements-local.txt requirements-bench.in -o requirements-bench.txt
	$(COMPILE) -c requirements-local.txt requirements-teacher.in -o requirements-teacher.txt
	$(COMPILE) -c requirements-remote.txt -c requirements-dev.txt requirements-tokenizers.in -o requirements-tokenizers.txt
	$(COMPILE) --no-deps requirements-model.in -o requirements-model.txt
	$(COMPILE) --no-deps requirements-sky.in -o requirements-sky.txt
	@for lock in remote local dev praw bench teacher tokenizers model sky; do \
		sed -e "s/ ; ($(MAC)) or ($(BOX))//" -e "s/(\(python_full_version [^)]*\) and $(MAC)) or (\1 and $(BOX))/\1/" \
			requirements-$$lock.txt > lock.part && mv lock.part requirements-$$lock.txt; done
	awk '/^[a-z]/ {drop = /^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z]+)==/} !drop' requirements-remote.txt > requirements-cpu.txt

clean:  ## remove caches and unfinished files; environments and data stay
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
