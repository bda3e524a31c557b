#!/usr/bin/env bash
# A real Apptainer on Debian 12 (bookworm), from Debian's own packages only.
#
# Debian ships apptainer in sid alone, and that build wants a newer C library than bookworm's. This takes sid's
# apptainer together with the few shared libraries it needs, puts those in a folder that only apptainer looks in
# (patchelf: interpreter and RPATH), and lets apt install the result as a local package with bookworm's own
# squashfs-tools, squashfuse and uidmap. No source is added to /etc/apt and no system library replaced.
# Undo: apt-get remove apptainer.
#
# As root; idempotent; 10-30 s. Variables:
#   APPTAINER_DEB=/path/x.deb  use that package if it is there, else leave the one built here there (a CI cache, as sid moves on)
#   MIRROR, SUITE, KEYRING     another Debian mirror (default: the one of this machine's apt), suite (sid), keyring
#   FORCE=1                    install again
set -euo pipefail
SUITE=${SUITE:-sid}
KEYRING=${KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
PRIVATE=/usr/lib/x86_64-linux-gnu/apptainer/private
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

say() { printf 'install-apptainer: %s\n' "$*" >&2; }
works() { command -v apptainer >/dev/null && apptainer --version >/dev/null 2>&1; }
apt() { apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold -qq -y --no-install-recommends "$@" </dev/null; }

main() {
  if [ -z "${FORCE:-}" ] && works; then
    [ "$(id -u)" != 0 ] || prepare
    selftest
    say "already here: $(apptainer --version)"
    return
  fi
  [ "$(id -u)" = 0 ] || { say "needs root"; exit 1; }
  command -v apt-get >/dev/null || { say "needs Debian's apt-get"; exit 1; }
  [ "$(dpkg --print-architecture)" = amd64 ] || { say "amd64 only"; exit 1; }
  MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "main" {sub(/\/$/, "", $3); print $3; exit}')}
  apt update || say "apt-get update failed; going on with the lists at hand"
  # patchelf is for this script, the rest is what apptainer calls; --no-upgrade: nothing that is here changes its version
  apt install --no-upgrade patchelf squashfs-tools squashfuse fuse-overlayfs fuse2fs e2fsprogs uidmap debootstrap >/dev/null

  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  chmod 755 "$WORK"
  local deb=$WORK/apptainer_local_amd64.deb
  if [ -s "${APPTAINER_DEB:-}" ]; then
    cp "$APPTAINER_DEB" "$deb"
  else
    (cd "$WORK" && build_package)
    [ -z "${APPTAINER_DEB:-}" ] || install -D -m 644 "$deb" "$APPTAINER_DEB"
  fi
  apt --allow-downgrades --reinstall install "$deb" >/dev/null

  works || { say "installed, but 'apptainer --version' fails"; apptainer --version || true; exit 1; }
  prepare
  selftest
  say "$(apptainer --version), package $(dpkg-query -W -f '${Version}' apptainer)"
}

# Repack sid's apptainer with its libraries, in the current folder.
build_package() {
  mkdir -p lists/partial cache/archives/partial dl pkg lib
  printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$MIRROR" "$SUITE" > suite.list
  # an apt of its own: the machine's sources, lists and cache stay as they are
  local options=(-qq -o Dir::Etc::sourcelist="$PWD/suite.list" -o Dir::Etc::sourceparts=-
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd dl && apt-get "${options[@]}" download {apptainer,libc6,libseccomp2,libsqlite3-0}/"$SUITE")
  dpkg-deb -R dl/apptainer_*.deb pkg
  local file
  for file in dl/lib*.deb; do dpkg-deb -x "$file" lib; done

  # each library under its soname, as a plain file; all of one suite, so they fit each other
  mkdir -p "pkg$PRIVATE"
  local name source
  for name in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libresolv.so.2 libdl.so.2 libpthread.so.0 \
    libnss_files.so.2 libnss_dns.so.2 libseccomp.so.2 libsqlite3.so.0; do
    source=$(find lib -path '*/x86_64-linux-gnu/*' -name "$name" | head -n 1)
    [ -n "$source" ] || { say "no $name in the downloaded packages"; exit 1; }
    cp -L "$source" "pkg$PRIVATE/$name"
  done
  for file in pkg/usr/bin/apptainer pkg/usr/lib/x86_64-linux-gnu/apptainer/bin/starter; do
    patchelf --set-interpreter "$PRIVATE/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$PRIVATE" "$file"
  done

  # a version of its own, and dependencies that bookworm can meet
  local version
  version=$(sed -n 's/^Version: //p' pkg/DEBIAN/control)
  sed -i -e "s/^Version: .*/Version: $version+private1/" \
    -e 's/^Depends: .*/Depends: ca-certificates, squashfs-tools, uidmap, libc6/' \
    -e 's/^Recommends: .*/Recommends: e2fsprogs, squashfuse, fuse-overlayfs, fuse2fs, containernetworking-plugins/' \
    -e '/^\(Static-\)\?Built-Using:/d' pkg/DEBIAN/control
  (cd pkg && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) > md5
  mv md5 pkg/DEBIAN/md5sums
  dpkg-deb -Zgzip -z1 --root-owner-group -b pkg apptainer_local_amd64.deb >/dev/null
}

# What a bare container or micro-VM lacks and an ordinary Debian machine has; harmless on one.
prepare() {
  # udev would make it so; without it squashfuse fails for every user but root
  if [ -c /dev/fuse ]; then chmod 666 /dev/fuse; else say "no /dev/fuse: use 'apptainer exec --unsquash'"; fi
  # 'apptainer build --fakeroot' wants a range of ids, for root too
  local file
  for file in /etc/subuid /etc/subgid; do
    grep -qs '^root:' "$file" || echo "root:1000000000:65536" >> "$file"
  done
  # 'apptainer exec' as root asks for all capabilities and fails where one is missing: let it ask for those at hand
  local last have
  last=$(cat /proc/sys/kernel/cap_last_cap)
  have=$((16#$(sed -n 's/^CapPrm:[[:space:]]*//p' /proc/self/status)))
  if [ "$have" != $(((1 << (last + 1)) - 1)) ]; then
    apptainer -s capability add --user root \
      "$(setpriv --dump | sed -n 's/^Capability bounding set: //p' | tr a-z A-Z | sed 's/\(^\|,\)/\1CAP_/g')"
    apptainer config global --set "root default capabilities" file
    say "root lacks some capabilities here: apptainer.conf set to ask only for the others"
  fi
}

# `--version` alone would not show that the starter, mksquashfs and mounting an image work.
selftest() {
  local place ok=0
  place=$(mktemp -d)
  mkdir -p "$place"/tree/{bin,dev,etc,home,lib,lib64,proc,root,sys,tmp,usr,var/tmp}
  apptainer -s build "$place/x.sif" "$place/tree" &&
    apptainer -s exec --no-home --bind /bin,/lib,/lib64,/usr "$place/x.sif" /bin/true || ok=$?
  rm -rf "$place"
  [ "$ok" = 0 ] || { say "self-test failed: cannot build or run a small image"; exit 1; }
}

main "$@"
