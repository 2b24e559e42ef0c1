#!/usr/bin/env bash
# Builds and deploys a stack of samconfig.toml, `dev` or `prod`, and checks it. For `make deploy`, which says what HOOKCTL is.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Your own stack is samconfig.toml's `default`.
case ${1:-} in
  dev) config=default ;;
  prod) config=prod ;;
  *) fail "there is no environment \`${1:-}\`: use ENV=dev, your own stack, or ENV=prod" ;;
esac

command -v sam >/dev/null ||
  fail "\`sam\` is not installed: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html"

# What runs in production is a commit, so that it can be found again and gone back to.
if [[ $1 == prod && -n $(git status --porcelain) ]]; then
  git status --short >&2
  fail "the work tree is not clean: what is deployed to prod must be a commit. Commit or stash what is listed above"
fi
commit=$(git describe --always --tags --dirty)

read -r stack region < <(python3 - "$config" <<'PYTHON'
import sys, tomllib

with open("samconfig.toml", "rb") as file:
    of_all = tomllib.load(file)[sys.argv[1]]["global"]["parameters"]
print(of_all["stack_name"], of_all["region"])
PYTHON
) || fail "samconfig.toml has no stack_name and region for \`$config\`"

# Now, not when the new version is live and unchecked.
say "building hookctl"
$HOOKCTL --version

say "building $commit for $stack in $region"
sam build --config-env "$config"

# It waits until CodeDeploy has shifted everything: after it, the new version is live.
say "deploying $commit to $stack in $region"
sam deploy --config-env "$config"

say "checking $stack"
if ! $HOOKCTL --stack-name "$stack" --region "$region" smoke; then
  cat >&2 <<TEXT

$commit is live on $stack, and not every check passed. The lines above name the likely causes. If providers are concerned,
first go back to the release before (docs/operations.md, R1), and look for the cause then:

  git checkout TAG-OF-THE-RELEASE-BEFORE && make deploy ENV=$1

To check again: hookctl --stack-name $stack --region $region smoke
TEXT
  exit 1
fi
say "$commit is live on $stack in $region"
