# `make demo` and `make test` do everything on a machine with Python 3.10+, pip and make.
PYTHON ?= python3
VENV ?= .venv
VENV_OPENMMLAB ?= .venv-openmmlab
# Python compiles what is imported; pip would compile all 24,000 files, and take longer than to unpack them.
PIP = pip install --progress-bar off --no-compile
# Processes of a test run, one thread each; 0 is pytest alone.
WORKERS ?= 2
# Many images of containers set it: then every process compiles what it imports, for 10 s and more.
unexport PYTHONDONTWRITEBYTECODE
TEST = -m pytest -n $(WORKERS) --dist worksteal
# What imports MMSegmentation, whose two distributions differ.
MMSEG_TESTS = $(addprefix tests/,test_integrations/test_mmseg test_tools \
	test_configs.py test_doctor.py test_import.py test_registry.py) \
	$(addprefix tests/test_commands/test_,docs.py doctor.py environment.py main.py \
	messages.py prepare.py read_files.py)
# What skips without nnU-Net, which `make test` does not install: it brings a hundred megabytes.
NNUNET_TESTS = tests/test_integrations/test_nnunet.py tests/test_files/test_nnunet_maps.py
MMCV_WHEEL ?= $(firstword $(wildcard ../shared/wheels/mmcv-2.1.0-*.whl))

.PHONY: help demo install base-openmmlab test test-openmmlab release-test wheel-test lint format docs clean

help:
	@echo "make demo            train with BCE and with levels on cell nuclei, compare, review"
	@echo "make install         the environment of the tests, which the others make too"
	@echo "make test            the tests, on the OneDL distribution of MMSegmentation"
	@echo "make test-openmmlab  those that import MMSegmentation, on that of OpenMMLab"
	@echo "make release-test    full grids, examples, trackers, every config of the paper, nnU-Net, pages in Chromium"
	@echo "make wheel-test      build sdist and wheel, use the wheel from an empty folder"
	@echo "make lint            ruff and mypy"
	@echo "make docs            the documentation as a site, into build/docs"

demo: $(VENV)/.host
	$(VENV)/bin/mmaslp demo --overwrite

install: $(VENV)/.dev

base-openmmlab: $(VENV_OPENMMLAB)/.base

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python $(TEST) -o cache_dir=$(VENV)/.pytest_cache

test-openmmlab: $(VENV_OPENMMLAB)/.dev
	OMP_NUM_THREADS=1 $(VENV_OPENMMLAB)/bin/python $(TEST) -o cache_dir=$(VENV_OPENMMLAB)/.pytest_cache $(MMSEG_TESTS)

release-test: $(VENV)/.release
	OMP_NUM_THREADS=1 $(VENV)/bin/python $(TEST) -o cache_dir=$(VENV)/.pytest_cache -m release
	OMP_NUM_THREADS=1 $(VENV)/bin/python $(TEST) -o cache_dir=$(VENV)/.pytest_cache $(NNUNET_TESTS)

wheel-test: $(VENV)/.dev
	rm -rf build/wheel-test
	$(VENV)/bin/python tests/packaging/try_wheel.py build/wheel-test

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Every warning is an error: a link, a reference or a docstring is broken.
docs: $(VENV)/.dev
	rm -rf build/docs
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m sphinx -q -W --keep-going docs build/docs
	@echo "build/docs/index.html"

# The stamps are written last, so that an interrupted installation is taken up again.
# yapf, which MMEngine uses, writes a cache when it is first imported: once, and not by all workers of
# a test run at a time, of which one would read half of it.
WARM = -c 'from yapf.yapflib import yapf_api'
$(VENV)/.host: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m $(PIP) -e '.[onedl]'
	@touch $@

$(VENV)/.dev: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m $(PIP) -e '.[onedl,dev,docs]'
	$(VENV)/bin/python $(WARM)
	@touch $(VENV)/.host $@

$(VENV)/.release: $(VENV)/.dev
	$(VENV)/bin/python -m $(PIP) -e '.[browser,nnunet,trackers]'
	@touch $@

# mmcv 2.1.0 with compiled operators is no wheel on the package index: take the wheel that
# MMCV_WHEEL names, else build it (about 10 minutes on 2 cores, needs a C++ compiler).
# What it needs comes from a copy: beside it CI builds the checkout for the other environment.
SOURCE = ./$(VENV_OPENMMLAB)/source
$(VENV_OPENMMLAB)/.base: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV_OPENMMLAB)
	$(VENV_OPENMMLAB)/bin/python -m $(PIP) 'setuptools<82' wheel torch torchvision
	MMCV_WITH_OPS=1 $(VENV_OPENMMLAB)/bin/python -m $(PIP) --no-build-isolation $(or $(MMCV_WHEEL),mmcv==2.1.0)
	rm -rf $(SOURCE) && mkdir $(SOURCE)
	cp -R pyproject.toml setup.py README.md LICENSE model-index.yml mmaslp configs tools $(SOURCE)
	$(VENV_OPENMMLAB)/bin/python -m $(PIP) '$(SOURCE)[openmmlab,dev]'
	rm -rf $(SOURCE)
	@touch $@

$(VENV_OPENMMLAB)/.dev: $(VENV_OPENMMLAB)/.base
	$(VENV_OPENMMLAB)/bin/python -m $(PIP) --no-deps -e .
	$(VENV_OPENMMLAB)/bin/python $(WARM)
	@touch $@

clean:
	rm -rf $(VENV) $(VENV_OPENMMLAB) build dist *.egg-info
