#!/usr/bin/env bash
# Builds the functions named on the command line from the last commit twice, in clones whose folders and whose CARGO_HOME have
# different names, and compares the bootstraps byte by byte.
set -euo pipefail
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
downloads=${CARGO_HOME:-$HOME/.cargo}/registry
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # place, functions
  local place=$work/$1
  shift
  git clone --quiet "$root" "$place/clone"
  # The same downloads under another name, so that what is compiled from there cannot hide the name.
  mkdir "$place/cargo"
  ln -s "$downloads" "$place/cargo/registry"
  CARGO_HOME=$place/cargo CARGO_TARGET_DIR=$place/target \
    make --directory "$place/clone" --old-file tools bootstraps PYTHON="$root/.dev/python/bin" BINARIES="$*"
}

build first "$@"
build the/second/one "$@"

differ=0
for function in "$@"; do
  first=$(sha256sum <"$work/first/target/lambda/$function/bootstrap")
  second=$(sha256sum <"$work/the/second/one/target/lambda/$function/bootstrap")
  if [[ $first == "$second" ]]; then
    printf '%-16s same      %s\n' "$function" "${first%% *}"
  else
    differ=1
    printf '%-16s DIFFERENT %s\n%26s %s\n' "$function" "${first%% *}" '' "${second%% *}"
  fi
done
exit "$differ"
