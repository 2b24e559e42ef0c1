#!/usr/bin/env bash
# Writes what each function is made of into a folder, as CycloneDX 1.5 in JSON: sbom.sh CARGO-CYCLONEDX FOLDER FUNCTION...
#
# Cargo resolves a workspace as a whole, so tests and tools would add their crates and features to those of a function. The
# tool therefore sees a copy of the last commit that holds only what is deployed.
set -euo pipefail
tool=$(realpath "$1")
folder=$2
shift 2
here=$(realpath "$(dirname "$0")")
root=$(git -C "$here" rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git -C "$root" archive HEAD Cargo.toml Cargo.lock rust-toolchain.toml functions shared | tar --extract --directory "$work"
rm -r "$work/shared/testkit"
sed -i 's|^members = .*|members = ["functions/*", "shared/*"]|; /^\[profile.dev.package/,/^$/d' "$work/Cargo.toml"
sed -i '/^\[dev-dependencies\]$/,/^$/d' "$work"/{functions,shared}/*/Cargo.toml

# The time of the commit, and no serial number: the same commit has the same SBOM.
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
cd "$work"
"$tool" cyclonedx --format json --spec-version 1.5 --override-filename bom

cd "$root"
mkdir -p "$folder"
for function in "$@"; do
  sbom=$folder/$function.cdx.json
  cargo tree --manifest-path "$work/Cargo.toml" --package "$function" --edges normal --prefix none --no-dedupe |
    python3 "$here/prune.py" "$work/functions/$function/bom.json" | sed "s|$work|.|g" >"$sbom"
  printf '%-16s %3d crates  %s\n' "$function" "$(grep -c '"scope": "required"' "$sbom")" "$sbom"
done
