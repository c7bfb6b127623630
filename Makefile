# make demo   maps and boxes on photographs, then train and evaluate on drawn birds; writes demo/index.html
# make test   run the test suite, in two processes (TEST_PROCESSES)
# make test-fast   the same with VGG16 alone, and without what surrounds the package (tests/conftest.py)
# make lint   check style and types
# make docs   build the documentation as a site, site/index.html, in .venv-docs
# make help   list the targets
# Everything installs into .venv; PYTHON chooses the interpreter it is made with (3.10 to 3.13).
#
# make test-tf215   the suite on TensorFlow 2.15.1, in .venv-tf215, made with PYTHON39
# make test-tf115   the suite on TensorFlow 1.15.5, in .venv-tf115, made with PYTHON37
# make test-peers   the tests that compare with PyTorch, installed into .venv-peers
# make test-horovod   trainings in two processes, in .venv-horovod, made with PYTHON_HOROVOD
# make test-ray   evaluations on local workers; Ray goes into .venv
# make fuzz   every reader on a corpus of bad files and under a fuzzer, and every family of Keras applications,
#             in .venv-fuzz; FUZZ_SECONDS for each reader
# make bench   speed beside PyTorch, captum, pytorch-grad-cam, tf-keras-vis and ONNX Runtime, in .venv-bench
# make bench-lite   the same of EfficientNet-Lite alone, and its tables in docs/speed.md
# make test-browser   the report and the page of dgl serve in Chromium, which has to be installed, in .venv-web
# make test-wheel   the wheel in an environment of its own, which is deleted: the command on the images that come along
# make test-docs   the site, and every command of the documentation that make test leaves out for its time
# PYTHON39, PYTHON37 and PYTHON_HOROVOD (3.9 to 3.11) are by default from the path, else pyenv's.

# The first interpreter of version $(1) that runs (pyenv leaves commands on the path that do not).
find_python = $(shell for python in python$(1) $(HOME)/.pyenv/versions/$(1).*/bin/python; do \
	"$$python" -c "" 2> /dev/null && echo "$$python" && break; done)
need_python = @test -n "$(1)" || { echo "error: no Python $(2) found; set $(3) to one" >&2; exit 1; }

PYTHON ?= python3
PYTHON39 ?= $(call find_python,3.9)
PYTHON37 ?= $(call find_python,3.7)
PYTHON_HOROVOD ?= $(or $(call find_python,3.11),$(call find_python,3.10),$(call find_python,3.9))
VENV := .venv
PY := $(VENV)/bin/python
REQUIREMENTS := requirements.txt requirements/tensorflow.txt requirements/base.txt
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-fast test-tf215 test-tf115 test-peers test-browser test-horovod test-ray \
	test-wheel test-docs docs fuzz bench bench-lite lint format birds-checkpoint clean

help:
	@sed -n 's/^# make /make /p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed
	$(PY) $(PIP_INSTALL) -r requirements/demo.txt
	$(PY) -m benchmarks.photographs --out demo/photographs.jpg --page demo/index.html
	$(PY) -m dgl.datasets.birds --out data/birds
	PYTHON=$(PY) LOGDIR=demo EPOCH=2 sh run_train.sh vgg birds -- --load dgl/pretrained/birds_vgg.npz --base-lr 0.002
	$(PY) test_code/evaluate_localization.py --load train_log/demo --data data/birds --mode vgg \
		--clayer 1 2 3 4 --out demo/birds --overwrite
	@echo "open demo/index.html"

# Every process that a test starts would compile the project again.
unexport PYTHONDONTWRITEBYTECODE
# A file's tests stay in one process, whose fixtures they share.
TEST_PROCESSES ?= 2
PARALLEL := -n $(TEST_PROCESSES) --dist loadfile
# What has targets of its own, for it takes minutes or installs from the network.
BY_DEFAULT := not docs and not wheel

test: lint
	$(PY) -m pytest -q $(PARALLEL) -m "$(BY_DEFAULT)"

test-fast: $(VENV)/.tested-with
	$(PY) -m pytest -q $(PARALLEL) -m "$(BY_DEFAULT) and not slow"

test-tf215: .venv-tf215/.tested-with
	.venv-tf215/bin/python -m pytest -q -p no:cacheprovider $(PARALLEL) -m "$(BY_DEFAULT)"

test-tf115: .venv-tf115/.tested-with
	.venv-tf115/bin/python -m pytest -q -p no:cacheprovider $(PARALLEL) -m "$(BY_DEFAULT)"

test-peers: .venv-peers/.tested-with
	.venv-peers/bin/python -m pytest -q -p no:cacheprovider -m peer

test-browser: .venv-web/.tested-with
	.venv-web/bin/python -m pytest -q -p no:cacheprovider -m browser

test-docs: $(VENV)/.tested-with docs
	$(PY) -m pytest -q -p no:cacheprovider -m docs

test-wheel: $(VENV)/.tested-with
	$(PY) -m pytest -q -p no:cacheprovider -m wheel

docs: .venv-docs/.installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "open site/index.html"

test-horovod: .venv-horovod/.tested-with
	.venv-horovod/bin/python -m pytest -q -p no:cacheprovider -m horovod tests/training/test_horovod.py

test-ray: $(VENV)/.tested-with
	$(PY) $(PIP_INSTALL) -r requirements/ray.txt
	$(PY) -m pytest -q -p no:cacheprovider -m ray

FUZZ_SECONDS ?= 180
fuzz: .venv-fuzz/.installed
	.venv-fuzz/bin/python -m benchmarks.robustness --out benchmarks/results/hostile.json
	.venv-fuzz/bin/python -m benchmarks.fuzz all --seconds $(FUZZ_SECONDS) --jobs 2
	PYTHONPATH=.:tests .venv-fuzz/bin/python -m foreign.application_families keras
	PYTHONPATH=.:tests .venv-fuzz/bin/python -m foreign.application_families tf_keras

bench: .venv-bench/.installed
	.venv-bench/bin/python -m benchmarks.speed --out benchmarks/results.json --plot fig/speed.png

# EfficientNet-Lite alone, and its tables in docs/speed.md.
bench-lite: .venv-bench/.installed
	.venv-bench/bin/python -m benchmarks.speed --out benchmarks/results.json --only lite --rounds 5
	.venv-bench/bin/python docs/hooks/generated.py

lint: $(VENV)/.tested-with
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/vermin --quiet --no-tips --violations --target=3.7- --exclude importlib.metadata dgl test_code train_code

format: $(VENV)/.tested-with
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# How the checkpoint that comes with the project was made.
birds-checkpoint: $(VENV)/.installed
	PYTHON=$(PY) LOGDIR=birds_checkpoint sh run_train.sh vgg birds -- --seed 1
	$(PY) -m dgl.weights.export --load train_log/birds_checkpoint --out dgl/pretrained/birds_vgg.npz

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(REQUIREMENTS) | $(VENV)/bin/python
	$(PY) $(PIP_INSTALL) -r requirements.txt
	$(PY) $(PIP_INSTALL) --no-deps -e .
	touch $@

$(VENV)/.tested-with: $(REQUIREMENTS) requirements/dev.txt | $(VENV)/bin/python
	$(PY) $(PIP_INSTALL) -r requirements/dev.txt
	$(PY) $(PIP_INSTALL) --no-deps -e .
	touch $@ $(VENV)/.installed

# requirements.txt chooses the TensorFlow that goes with each Python.
.venv-tf215/.tested-with: $(REQUIREMENTS) requirements/dev.txt
	$(call need_python,$(PYTHON39),3.9,PYTHON39)
	$(PYTHON39) -m venv .venv-tf215
	.venv-tf215/bin/python $(PIP_INSTALL) -r requirements/dev.txt
	touch $@

# The pip that comes with Python 3.7 is too old for some of the wheels.
.venv-tf115/.tested-with: $(REQUIREMENTS) requirements/dev.txt
	$(call need_python,$(PYTHON37),3.7,PYTHON37)
	$(PYTHON37) -m venv .venv-tf115
	.venv-tf115/bin/python $(PIP_INSTALL) --upgrade pip
	.venv-tf115/bin/python $(PIP_INSTALL) -r requirements/dev.txt
	touch $@

.venv-peers/.tested-with: $(REQUIREMENTS) requirements/dev.txt requirements/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python $(PIP_INSTALL) -r requirements/peers.txt
	touch $@

.venv-web/.tested-with: $(REQUIREMENTS) requirements/dev.txt requirements/web.txt requirements/browser.txt
	$(PYTHON) -m venv .venv-web
	.venv-web/bin/python $(PIP_INSTALL) -r requirements/dev.txt -r requirements/web.txt \
		-r requirements/browser.txt
	touch $@

.venv-docs/.installed: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python $(PIP_INSTALL) -r requirements/docs.txt
	touch $@

# Horovod is built with the TensorFlow that is there; it needs a C++ compiler, and cmake, which pip brings.
HOROVOD_BUILD := HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_TENSORFLOW=1 \
	HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1

.venv-horovod/.tested-with: requirements/horovod.txt requirements/base.txt
	$(call need_python,$(PYTHON_HOROVOD),3.9 to 3.11,PYTHON_HOROVOD)
	@command -v g++ > /dev/null || { echo "error: no g++ found, which building Horovod needs" \
		"(Debian: apt-get install g++)" >&2; exit 1; }
	$(PYTHON_HOROVOD) -m venv .venv-horovod
	.venv-horovod/bin/python $(PIP_INSTALL) -r requirements/horovod.txt
	PATH="$(CURDIR)/.venv-horovod/bin:$$PATH" $(HOROVOD_BUILD) .venv-horovod/bin/python $(PIP_INSTALL) \
		--no-build-isolation horovod==0.28.1
	touch $@

.venv-fuzz/.installed: $(REQUIREMENTS) requirements/fuzz.txt
	$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/python $(PIP_INSTALL) -r requirements/fuzz.txt
	touch $@

# A peer that does not install is left out of the measurement.
.venv-bench/.installed: $(REQUIREMENTS) requirements/bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(PIP_INSTALL) -r requirements.txt
	-.venv-bench/bin/python $(PIP_INSTALL) -r requirements/bench.txt
	-.venv-bench/bin/python $(PIP_INSTALL) --no-deps grad-cam==1.5.7 ttach==0.0.3
	-.venv-bench/bin/python $(PIP_INSTALL) tf-keras-vis==0.8.7
	touch $@

clean:
	rm -rf .venv* demo data train_log evaluation site
