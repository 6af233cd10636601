# `make run` does everything: it fetches what is missing, builds, draws cats where there are no photos, runs the pipeline and
# trains a little. `make help` lists the rest. Needs Rust, a C++ compiler, make, and Python 3.9 with pip.

PYTHON ?= python3
CARGO  ?= cargo
FETCH   = $(PYTHON) tools/fetch.py
TARGET  = $(or $(CARGO_TARGET_DIR),target)
TRAINER = -p catgen-train --features torch

# How long `make run` trains: about five minutes on two cores, enough to see cats begin. Small steps, because the sample is
# small. `make run TRAIN_BUDGET=` trains as pipeline.toml says.
TRAIN_BUDGET ?= --set '7.Train.epochs=8' --set '7.Train.batch=16' --set '7.Train.max_images=12000' \
                --set '4.Train.epochs=4' --set '4.Train.batch=16' --set '4.Train.max_images=6000'

.DEFAULT_GOAL = run
.PHONY: help run setup build-tools libtorch models browser cluster build trainer test test-python test-python-torch fmt lint doc bench eval eval-python clean

run: setup ## fetch, build, draw sample photos if there are none, run the pipeline, train a little
	$(CARGO) build --release
	$(CARGO) build --release $(TRAINER)
	@if [ -z "$$(ls -A data/0.ORIGINAL 2>/dev/null)" ]; then \
	  echo "data/0.ORIGINAL is empty: drawing cats to try with"; \
	  "$(TARGET)/release/catgen-pipe" sample; \
	fi
	"$(TARGET)/release/catgen-pipe" run $(TRAIN_BUDGET)
	@echo
	@echo "Every stage's pictures are in data/, this run with its samples and checkpoints is the newest folder in runs/."
	@echo "Your own photos go into data/0.ORIGINAL; then: $(TARGET)/release/catgen-pipe run"

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1~\2/' | column -t -s '~' 2>/dev/null \
	  || grep -E '^[a-z-]+:.*## ' Makefile

setup: ## get libtorch, onnxruntime, the model and missing build tools (once; 0.6 GB, with an NVIDIA GPU 2.6 GB)
	@$(FETCH) all

build-tools: ## get cmake and nasm where there are none
	@$(FETCH) build-tools

libtorch: ## get libtorch
	@$(FETCH) build-tools libtorch

models: ## get the segmentation model and onnxruntime, which runs it faster
	@$(FETCH) models
	-@$(FETCH) onnxruntime

browser: ## get what the studio's pages are tested with: Chromium and its driver (as root on Debian), axe-core
	-@$(FETCH) browser

cluster: ## get what work on several machines is tested with: Slurm (as root on Debian), an S3 server
	-@$(FETCH) cluster

build: build-tools ## build catgen-pipe
	$(CARGO) build --release

trainer: libtorch ## build catgen-train, the program that trains (the first time 3 to 5 minutes)
	$(CARGO) build --release $(TRAINER)

# All in the dev profile: libtorch's bindings alone take minutes to build, once is enough. The command-line tests look for
# catgen-train beside themselves, so it is built before they run. What a test says is shown though it passes: that it skipped, and why.
test: setup browser cluster ## formatting, lints, every test, documentation
	$(CARGO) fmt --all --check
	$(MAKE) --no-print-directory lint
	-@$(MAKE) --no-print-directory test-python
	$(CARGO) build $(TRAINER)
	$(CARGO) test --workspace -- --show-output
	$(CARGO) test $(TRAINER) -- --show-output
	$(MAKE) --no-print-directory doc

# A Python of its own with what our exports are for. Tests find it there; without it they say what they skip.
TEST_PYTHON = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/catgen-pipe/test-python
test-python: ## get the Python libraries that tests open our exports with (once; 0.3 GB, outside the checkout)
	@"$(TEST_PYTHON)/bin/python" -c "import datasets, numpy, PIL, webdataset" 2>/dev/null \
	  || { $(PYTHON) -m venv "$(TEST_PYTHON)" && "$(TEST_PYTHON)/bin/python" -m pip install --quiet --requirement tools/test-python.txt; }

# And one with what trained models and curves are exported for; apart, because torch brings CUDA along.
TEST_PYTHON_TORCH = $(TEST_PYTHON)-torch
test-python-torch: ## get Python's torch, onnxruntime and tensorboard for the trainer's tests (once; 3 GB, outside the checkout)
	@"$(TEST_PYTHON_TORCH)/bin/python" -c "import torch, onnxruntime, tensorboard, safetensors" 2>/dev/null \
	  || { $(PYTHON) -m venv "$(TEST_PYTHON_TORCH)" && "$(TEST_PYTHON_TORCH)/bin/python" -m pip install --quiet \
	       torch==2.11.0 onnxruntime==1.31.1 tensorboard==2.21.0 numpy safetensors setuptools; }

fmt: ## format the code
	$(CARGO) fmt --all

lint: setup ## clippy, with every warning an error
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy $(TRAINER) --all-targets -- -D warnings

doc: build-tools ## build the documentation, with every warning an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace

bench: setup ## time the parts that have benchmarks
	$(CARGO) bench --workspace

# The usual tools, which some numbers stand beside. Evaluations say what they leave out without it.
EVAL_PYTHON = $(TEST_PYTHON)-eval
eval-python: ## get the Python libraries that `make eval` compares with (once; 0.5 GB, outside the checkout)
	@"$(EVAL_PYTHON)/bin/python" -c "import albumentations, cv2, imagehash, numpy, onnxruntime, PIL, skimage" 2>/dev/null \
	  || { $(PYTHON) -m venv "$(EVAL_PYTHON)" && "$(EVAL_PYTHON)/bin/python" -m pip install --quiet --requirement tools/eval-python.txt; }

eval: setup ## measure every stage on the shared data, beside the usual tools: one table (half an hour on 2 cores)
	@CARGO="$(CARGO)" CATGEN_PYTHON="$${CATGEN_PYTHON-$(wildcard $(EVAL_PYTHON)/bin/python)}" $(PYTHON) tools/eval.py

clean: ## remove what was built (not what was fetched, and none of your data)
	$(CARGO) clean
