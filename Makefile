# The two commands are `make validate` and `make test`; both set up what they need by themselves.

bin := .venv/bin

.PHONY: validate test docs setup lock clean

validate: setup
	$(bin)/testbed validate --quick --registered

# Tests on real networks have the machine for themselves: they measure times.
test: setup
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/pytest -q -n auto --dist loadfile --ignore=tests/network
	$(bin)/pytest -q tests/network

# Writes the generated pages of docs/ anew; `make docs RUN="results/validation/..."` takes the verdicts of those runs.
docs: setup
	$(bin)/python -m testbed.claims_page $(RUN)
	$(bin)/python -m testbed.protocols_page
	$(bin)/python -m tests.mutants.page

setup:
	@sh ./setup.sh

# Rewrites requirements.lock; `make lock UPGRADE=--upgrade` also takes newer versions.
lock: setup
	$(bin)/python -m pip install --quiet uv
	$(bin)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--quiet $(UPGRADE) --output-file requirements.lock

# Everything that was made, but no results.
clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find agents testbed topologies tests -name __pycache__ -prune -exec rm -rf {} +
