# `make demo` shows a car charging; `make test` runs every gate and every test. Both set up what they need.

VEHICLE ?= iso2-ac-pnc
PYTHON = .venv/bin/python

.PHONY: demo vehicles test setup setup-tests style types floors tests package package-check lock clean

demo: setup
	@$(PYTHON) -m sim.demo --vehicle $(VEHICLE)

# Every protocol x energy service x payment x control mode, and the phases' times; the tests run it too.
vehicles: setup
	@$(PYTHON) -m pytest -q -s -p no:cacheprovider tests/secc/test_secc_matrix.py

test: style types floors tests

setup:
	@deploy/develop

setup-tests:
	@deploy/develop tests

style: setup
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types: setup
	$(PYTHON) -m mypy

floors: setup
	.venv/bin/lint-imports --no-cache

# What lives by the clock, on its own: real processes, serial lines, packet sockets, whole sites.
CLOCKED = tests/hal/plc/test_plc_wire.py tests/conformance/test_board.py tests/e2e
PYTEST = $(PYTHON) -m pytest -n 2 --dist loadfile --cov

tests: setup-tests
	rm -f .coverage*
	$(PYTEST) --cov-report= --cov-fail-under=0 $(CLOCKED:%=--ignore=%)
	$(PYTEST) --cov-append --cov-report=term:skip-covered $(CLOCKED)

# dist/evsed_VERSION_ARCH.deb; the same checkout gives the same bytes (SOURCE_DATE_EPOCH: that of its last commit).
package: setup
	$(PYTHON) deploy/package.py dist

# The package on a fresh Debian in a namespace: installed, a vehicle charged, removed. Root and Debian's mirror needed.
package-check: setup
	@for tool in debootstrap systemd-nspawn; do command -v $$tool >/dev/null || { echo "no $$tool here" >&2; exit 1; }; done
	$(PYTHON) tests/deploy/package_check.py

# The lock names versions and hashes, no addresses. The board's image and this checkout are built from the same versions.
lock:
	.venv/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links pyproject.toml -o deploy/requirements.txt
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links -c deploy/requirements.txt --group dev pyproject.toml \
		-o tests/requirements.txt

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .coverage*
