# The two commands that matter: `make run` and `make test`. Both install what is missing.

CARGO ?= cargo
JS := signaling/js
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: run test format lint unit layering docs-check client metrics-check interop browser bench bench-steps attack-report media-report sim-hour fuzz

run:
	.ci/install build
	$(CARGO) run --release

test: lint unit layering docs-check client metrics-check interop browser

format:
	$(CARGO) fmt --all

lint:
	.ci/install build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	for crate in sfu recorder; do $(CARGO) check --manifest-path $$crate/fuzz/Cargo.toml --target-dir "$(abspath $(TARGET))/fuzz" --locked || exit 1; done

unit:
	.ci/install build media
	$(CARGO) test --workspace --locked

# The library stands without the binary's parts, and the recorder knows nothing of signaling.
layering:
	! $(CARGO) tree -p simmer-signaling --no-default-features -e normal --locked | grep -q simmer-recorder
	! $(CARGO) tree -p simmer-recorder -e normal --locked | grep -q simmer-signaling
	$(CARGO) check -p simmer-signaling --no-default-features --locked

docs-check:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

client:
	.ci/install node
	cd $(JS) && npm ci --no-audit --no-fund && npm run check && npm test

metrics-check:
	.ci/install build tools
	$(CARGO) build -p simmer-signaling --locked
	.ci/check-metrics "$(abspath $(TARGET))/debug/simmer" "$(abspath $(TARGET))/tools"

# aiortc, which nobody here wrote, publishes over WHIP and plays over WHEP; then it is the server that the load tester drives.
interop:
	.ci/install build interop
	$(CARGO) build -p simmer-signaling -p simmer-bench --locked
	SIMMER_BIN="$(abspath $(TARGET))/debug/simmer" "$(abspath $(TARGET))/interop/bin/python" signaling/tests/interop/whip.py
	SIMMER_BENCH_BIN="$(abspath $(TARGET))/debug/simmer-bench" "$(abspath $(TARGET))/interop/bin/python" bench/tests/interop/whep.py

browser:
	.ci/install build node media browser
	$(CARGO) build -p simmer-signaling --locked
	cd $(JS) && npm ci --no-audit --no-fund && SIMMER_BIN="$(abspath $(TARGET))/debug/simmer" npm run test:browser

# What packets, joins and members cost here, as a table with goals, in some minutes: docs/performance.md tells how to read it.
# FIGURES="meeting idle" takes these only.
bench:
	.ci/install build
	$(CARGO) build --release -p simmer-signaling -p simmer-bench --locked
	.ci/bench-figures "$(abspath $(TARGET))/release"

# What each step of a packet's way takes: times of the steps, then instructions of all of it, which two commits can be compared by.
bench-steps:
	.ci/install build instructions
	$(CARGO) bench -p simmer-bench --bench packet_path --locked
	$(CARGO) build --release -p simmer-bench --example fan_out --locked
	.ci/count-instructions "$(abspath $(TARGET))/release/examples/fan_out"

# What a real Chromium sees of the promises of media over bad lines: target/media-report/report.md, ten minutes.
# MEDIA_REPORT=--strict fails when one is missed, MEDIA_REPORT="rate-steps blackout" plays these only.
MEDIA_REPORT ?=
media-report:
	.ci/install build node browser
	$(CARGO) build --release -p simmer-signaling -p simmer-bench --locked
	cd $(JS) && npm ci --no-audit --no-fund && node test/report/main.js "$(abspath $(TARGET))/media-report" "$(abspath $(TARGET))/release" $(MEDIA_REPORT)

# Every attack on a server of its own while an honest call runs: docs/operations.md tells what is promised.
attack-report:
	.ci/install build
	$(CARGO) build --release -p simmer-signaling -p simmer-bench --locked
	.ci/attack-report "$(abspath $(TARGET))/release"

# An hour of a conference in virtual time, and every other plan of the simulator, optimised: seconds each.
sim-hour:
	.ci/install build
	$(CARGO) test --release -p simmer-sfu --test it --locked -- hour:: lines::

# Every fuzz target for FUZZ_SECONDS each.
FUZZ_SECONDS ?= 60
fuzz:
	.ci/install build fuzz
	for crate in sfu recorder; do \
	  (cd $$crate && for target in $$(RUSTC_BOOTSTRAP=1 $(CARGO) fuzz list); do \
	    RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target --sanitizer none -- -len_control=0 -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	  done) || exit 1; \
	done
