#!/usr/bin/env bash
# Another release's SLURM beside the installed one: prints the folder of its programs, which goes to the head of PATH.
#
#   PATH="$(slurm-version.sh trixie):$PATH" slurm-test-cluster.sh start
#
# SUITE: bullseye (SLURM 20.11), bookworm (22.05), trixie (24.11), forky or sid (26.05). Ubuntu's jammy (21.08) and noble (23.11)
# too, with KEYRING (ubuntu-archive-keyring.gpg is in Debian sid's ubuntu-keyring), MIRROR and COMPONENTS=universe.
#
# The packages of that suite are unpacked with the libraries that they need, the C library too, and the programs are told
# where these lie (patchelf). So daemons and commands are that release's own, what jobs run is this machine's, and nothing
# that is installed changes.
#
# Kept in $MIRA_CACHE/testbed (~/.cache/mira/testbed), by the hash of this file: 50 to 90 MB a suite, made in a minute.
set -euo pipefail
SUITE=${1:?which suite: bullseye, bookworm, trixie, forky}
KEYRING=${KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
STORE=${MIRA_CACHE:-$HOME/.cache/mira}/testbed
PLACE=$STORE/slurm-$SUITE-$(sha256sum "$0" | head -c 12)
PACKAGES=(slurmctld slurmd slurm-client munge slurmdbd)
export LC_ALL=C

say() { printf 'slurm-version: %s\n' "$*" >&2; }

download() { # all packages of the suite, with everything that they depend on
    local mirror options
    mirror=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "main" {sub(/\/$/, "", $3); print $3; exit}')}
    mkdir -p lists/partial cache/archives/partial
    echo "deb [signed-by=$KEYRING] $mirror $SUITE main ${COMPONENTS:-}" >suite.list
    : >status # nothing is installed, so that nothing is left out
    # an apt of its own: the machine's sources, lists and cache stay as they are
    options=(-qq -o Dir::Etc::sourcelist="$PWD/suite.list" -o Dir::Etc::sourceparts=-
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::status="$PWD/status"
        -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root
        -o Debug::NoLocking=1)
    apt-get "${options[@]}" update
    apt-get "${options[@]}" -y --no-install-recommends --download-only install "${PACKAGES[@]}" </dev/null >/dev/null
}

unpack() { # into programs, plugins and lib of the current folder
    local deb file
    mkdir -p all programs lib
    for deb in cache/archives/*.deb; do dpkg-deb -x "$deb" all; done
    mv all/usr/lib/*-linux-gnu/slurm-wlm plugins
    find all/lib/*-linux-gnu all/usr/lib/*-linux-gnu -maxdepth 1 -name '*.so*' -exec cp -an {} lib/ \; 2>/dev/null
    for file in all/usr/{bin,sbin}/*; do
        # Debian's alternatives put the name without -wlm
        if grep -qsE 'libslurm|libmunge' "$file"; then cp "$file" "programs/$(basename "$file" -wlm)"; fi
    done
}

settle() { # tell every program and library where the others lie
    local loader file
    loader=$(basename lib/ld-linux-*.so.*)
    for file in programs/*; do
        patchelf --set-interpreter "$PLACE/lib/$loader" --force-rpath --set-rpath "$PLACE/plugins:$PLACE/lib" "$file"
    done
    find plugins -name '*.so*' -type f -exec patchelf --force-rpath --set-rpath "$PLACE/plugins:$PLACE/lib" {} +
}

make_it() {
    local work
    work=$(mktemp -d "$STORE/.making-XXXXXX")
    # shellcheck disable=SC2064 # the folder's name now
    trap "rm -rf '$work'" EXIT
    (cd "$work" && download && unpack && settle)
    rm -rf "$work"/{all,cache,lists,status,suite.list}
    chmod 755 "$work"
    mv "$work" "$PLACE"
    "$PLACE/programs/slurmd" -V >/dev/null || { rm -rf "$PLACE"; say "the programs do not start"; exit 1; }
}

for program in apt-get dpkg-deb patchelf; do
    command -v $program >/dev/null || { say "needs $program"; exit 1; }
done
mkdir -p "$STORE"
exec 9>"$STORE/slurm-$SUITE.lock"
flock 9
if [[ ! -d $PLACE ]]; then make_it; fi
say "$("$PLACE/programs/slurmd" -V)"
echo "$PLACE/programs"
