# Two commands for a fresh machine: `make demo` and `make test`. They need Python 3.11 or later with pip, and make.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
JOBS ?= 2

RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: help demo test nightly lint docs gallery site lock sbom audit clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1: /p' Makefile

demo: $(READY)  ## fit, forecast and explain on shipped data, with an HTML report
	$(VENV)/bin/tsx demo $(ARGS)

PYTEST := $(RUN) -m pytest -W error -n $(JOBS) --dist worksteal

test: $(READY)  ## the tests, with warnings as errors, in JOBS processes; ARGS='-n0 -x tests/model' changes that
	$(PYTEST) $(ARGS)

nightly: $(READY)  ## every test, the long ones too, other examples, and many more spoilt files, of another seed every day
	@[ -d build/axe/node_modules/axe-core ] || npm install --silent --no-save --prefix build/axe axe-core@4 || \
		echo "without axe-core (npm, a network), the test of accessibility is skipped by name"
	HYPOTHESIS_PROFILE=nightly FUZZ_MUTANTS=5000 FUZZ_SEED=$$(date +%Y%m%d) $(PYTEST) -m "nightly or not nightly" $(ARGS)

lint: $(READY)  ## style, types, and whether the generated files are up to date
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m tsx.cli.reference --check docs/reference/cli.md
	$(RUN) -m tsx.cli.python_reference --check docs/reference/api.md
	$(RUN) -m tsx.spec.stub --check tsx/__init__.pyi

docs: $(READY)  ## write the generated reference and the stub for editors
	$(RUN) -m tsx.cli.reference docs/reference/cli.md
	$(RUN) -m tsx.cli.python_reference docs/reference/api.md
	$(RUN) -m tsx.spec.stub tsx/__init__.pyi

GALLERY := build/gallery
REPORTS := $(addprefix $(GALLERY)/,glucose.html prices.html digits.html)
EXPLAIN := $(RUN) -m tsx explain --quiet --report html
OWN = $(@:.html=)
BEGIN = @rm -rf $(OWN) $@ && mkdir -p $(OWN)
END = @mv $(OWN)/report/report.html $@ && rm -r $(OWN)

gallery: export TSX_MAX_STEPS ?= 600
gallery: export TSX_MAX_EVALS ?= 4000
gallery: export TSX_WINDOWS ?= 24
gallery: $(REPORTS)  ## three reports in build/gallery: glucose, prices, handwritten digits

.PHONY: $(REPORTS)

$(GALLERY)/glucose.html: $(READY)
	$(BEGIN)
	$(RUN) -m tsx demo --quiet --out $(OWN)
	$(END)

$(GALLERY)/prices.html: $(READY)
	$(BEGIN)
	$(RUN) -m tsx fit sample_data/stocks_daily.parquet --quiet --horizon 5 --model $(OWN)/model
	$(EXPLAIN) --model $(OWN)/model --out $(OWN)/report
	$(END)

$(GALLERY)/digits.html: $(READY)
	$(BEGIN)
	$(RUN) -m tsx demo --classify --quiet --out $(OWN)
	$(EXPLAIN) $(OWN)/digits.parquet --model $(OWN)/digits-model --out $(OWN)/report
	$(END)

PAGES := README.md CHANGELOG.md CONTRIBUTING.md docs sample_data benchmarks

site: gallery  ## the documentation as a site in build/site, from the pages as they are, with the gallery
	$(RUN) -m pip install --quiet --disable-pip-version-check zensical
	rm -rf build/pages build/site
	for page in $$(find $(PAGES) -name '*.md' -o -path 'sample_data/make.py' -o -path 'docs/images/*.png' -o -path 'docs/notebooks/*.ipynb'); do \
		mkdir -p build/pages/$$(dirname $$page) && cp $$page build/pages/$$page || exit 1; done
	cp LICENSE build/pages/
	$(RUN) -m zensical build --strict
	mkdir -p build/site/gallery && cp $(GALLERY)/*.html build/site/gallery/

# The tools for packages have an environment of their own: they and the program must not decide about each other's versions.
SUPPLY := build/supply
SUPPLY_READY := $(SUPPLY)/.ready
SBOM ?= build/sbom.json
SBOM_OF ?= $(RUN)

lock: $(SUPPLY_READY)  ## write requirements.lock: all packages on Linux, with the hashes of their files (needs a network)
	$(SUPPLY)/bin/uv pip compile --quiet --python-platform linux --python-version 3.11 --generate-hashes --no-annotate \
		--no-header --constraint constraints.txt --output-file requirements.lock pyproject.toml

sbom: $(SUPPLY_READY)  ## list the packages that the interpreter SBOM_OF runs with, in CycloneDX's format
	$(SUPPLY)/bin/cyclonedx-py environment --output-reproducible --output-file $(SBOM) $(SBOM_OF)

audit: $(SUPPLY_READY)  ## look for known faults in the packages of requirements.lock (needs a network)
	$(SUPPLY)/bin/pip-audit --strict --disable-pip --requirement requirements.lock

$(SUPPLY_READY): Makefile
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7' 'pip-audit>=2.10' 'uv>=0.9'
	@touch $@

clean:  ## remove everything that these targets made
	rm -rf $(VENV) build dist *.egg-info tsx-demo .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
