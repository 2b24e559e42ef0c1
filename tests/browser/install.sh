#!/usr/bin/env bash
# Makes `FOLDER/chromium` start a headless Chromium: of the Debian packages in packages.txt, unpacked into FOLDER without
# root and touching nothing else, or the given PROGRAM where there is one.
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: $0 FOLDER [PROGRAM]" >&2; exit 2; }
packages=$(cd "$(dirname "$0")" && pwd)/packages.txt
program=${2:-}
rm -rf "$1"
mkdir -p "$1"
cd "$1"
folder=$PWD

launcher() {
  printf '#!/bin/sh\n%s\n' "$1" > chromium
  chmod +x chromium
}

if [ -n "$program" ]; then
  launcher "exec '$program' \"\$@\""
  exit
fi
if ! command -v apt-get > /dev/null || ! command -v dpkg-deb > /dev/null || [ "$(dpkg --print-architecture)" != amd64 ]; then
  echo "no Debian on amd64: name a Chromium that is installed, with \`make browser CHROMIUM=/usr/bin/chromium\`" >&2
  exit 1
fi

echo "installing Chromium for the tests into .dev/browser, once (110 MB to load, 280 MB unpacked)" >&2
# A state of its own, because only root may change the machine's. The sources are the machine's, and so are the keys.
mkdir -p apt/lists/partial apt/cache/archives/partial archives root
: > apt/status
apt=(-o "Dir::State=$folder/apt" -o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt/cache"
  -o Debug::NoLocking=1 -o APT::Sandbox::User= -o APT::Get::List-Cleanup=0)
apt-get "${apt[@]}" -qq update

pins() { grep -v '^#' "$packages"; }
mapfile -t wanted < <(pins | awk '{ print $1 "=" $2 }')
(cd archives && apt-get "${apt[@]}" -qq download "${wanted[@]}") || {
  echo "not of this machine's package sources: name a Chromium that is installed, with \`make browser CHROMIUM=/usr/bin/chromium\`" >&2
  exit 1
}
# A file is named for its package and version, with the colon of an epoch as %3a.
pins | while read -r name version digest; do
  echo "$digest  $(echo archives/"${name}_${version//:/%3a}"_*.deb)"
done | sha256sum --quiet --check --strict
for archive in archives/*.deb; do
  dpkg-deb --extract "$archive" root
done
rm -rf apt archives root/usr/share/doc root/usr/share/man root/usr/lib/chromium/libVk*

cat > fonts.conf << 'END'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir prefix="relative">root/usr/share/fonts</dir></fontconfig>
END
launcher 'here=$(cd "$(dirname "$0")" && pwd)
libraries=$here/root/usr/lib/x86_64-linux-gnu
export FONTCONFIG_FILE="$here/fonts.conf"
export LD_LIBRARY_PATH="$libraries:$here/root/lib/x86_64-linux-gnu:$libraries/pulseaudio"
exec "$here/root/usr/lib/chromium/chromium-headless-shell" "$@"'
