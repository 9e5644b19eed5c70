# Every target works on a fresh Debian 12 machine with Rust; `make demo` and `make test` are the two to know.

PLIMSOLL = cargo run --quiet --bin plimsoll --
OUT ?= target/demo
TOOLS ?= $(or $(CARGO_TARGET_DIR),target)/tools
DENY = $(TOOLS)/bin/cargo-deny
# Property tests draw the same cases in every run, so that a failure is the change's own; any other number draws others.
export PROPTEST_RNG_SEED ?= 1

.PHONY: demo test lint deny bench sample setup setup-test

demo: setup           ## plan the sample cluster in data/, print the plan, write the HTML report
	@mkdir -p $(OUT)
	cargo build --bin plimsoll
	$(PLIMSOLL) plan --cluster data/cluster.json --metrics data/metrics.parquet --policy policies/web.yaml \
	  --catalog data/catalog.yaml --html $(OUT)/report.html --json $(OUT)/plan.json
	@echo "report: $(OUT)/report.html"

test: setup-test lint ## every check and every test
	PLIMSOLL_REQUIRE_TOOLS=1 cargo test --workspace

lint: setup deny      ## formatting, clippy, dependencies, and the core without kube, tokio and polars
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check --no-default-features --lib

deny:                 ## licences, sources and duplicates of dependencies
	@.ci/setup deny
	$(DENY) check --hide-inclusion-graph licenses sources bans

bench: setup          ## criterion benches, quality beside time
	cargo bench --profile dev

sample: setup         ## make data/ again; equal seeds give equal bytes
	$(PLIMSOLL) sample --out data --seed 1

setup:
	@.ci/setup build

setup-test:
	@.ci/setup test
