# The verbs of development. The work is done by ./test, which needs no `just`; CI runs the same sections.

# List the verbs.
default:
    @just --list

# Format and lint, warnings are errors.
check:
    ./test fmt clippy

# Unit, integration and vector tests, and the laws.
test:
    ./test tests

# Accept what the golden tests see now; read the diff before committing it.
golden:
    UPDATE_GOLDEN=1 cargo test

# The recorded scenarios and the real clients, against the release binary; UPDATE_GOLDEN=1 writes what they did into the README.
compat *SUITES="":
    ./test build
    cargo run --quiet --release --package coffer-compat-tests -- {{SUITES}}

# Kill and cut the power under load, and count what was lost.
crash:
    ./test build crash

# Compare with a bare server that does the same work and nothing else.
bench *ARGS="":
    cargo run --release --package coffer-bench -- {{ARGS}}

# Licences, advisories and banned crates; needs cargo-deny.
deny:
    cargo deny check
