# make demo   render the embedded data, train, evaluate CAM and DGL, write a page of pictures
# make test   run the test suite
# make lint   check style
# Everything installs into .venv; PYTHON chooses the interpreter it is made with (3.10 to 3.13).

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: demo test test-fast lint format birds-checkpoint clean

demo: $(VENV)/.installed
	$(PY) -m dgl.data.birds --out data/birds
	PYTHON=$(PY) LOGDIR=demo EPOCH=2 sh run_train.sh vgg birds -- --load dgl/pretrained/birds_vgg.npz --base-lr 0.002
	$(PY) test_code/evaluate_localization.py --load train_log/demo --data data/birds --mode vgg \
		--clayer 1 2 3 4 --out demo

test: $(VENV)/.tested-with
	$(PY) -m pytest -q

test-fast: $(VENV)/.tested-with
	$(PY) -m pytest -q -m "not slow"

lint: $(VENV)/.tested-with
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/.tested-with
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# How the checkpoint that comes with the project was made.
birds-checkpoint: $(VENV)/.installed
	PYTHON=$(PY) LOGDIR=birds_checkpoint sh run_train.sh vgg birds -- --seed 1
	$(PY) -m dgl.weights.export --load train_log/birds_checkpoint --out dgl/pretrained/birds_vgg.npz

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.tested-with: requirements-dev.txt requirements.txt | $(VENV)/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo data train_log evaluation
