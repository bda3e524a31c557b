#!/usr/bin/env bash
# Print a Python from 3.11 on that can make a virtual environment; nothing if there is none. Those that all of our
# packages have wheels for come first, a newer one counts only where there is a C compiler. Then the system's come first:
# every user can read them. pyenv's shims are passed over: they obey version files, and fail where the version that
# they are asked for is not the chosen one.
with_wheels=(3.13 3.12 3.11)
candidates() {
  for v in "${@}"; do type -ap "python$v" | grep -v /shims/; done
  type -ap python3 | grep -v /shims/
  for v in "${@}"; do printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$v"*/bin/python"$v"; done
}
# first TEST CANDIDATE…: the first that runs and whose version passes the test
first() {
  local test=$1 python; shift
  for python in "$@"; do
    [ -x "$python" ] || continue
    "$python" -c "import sys, venv, ensurepip; v = sys.version_info[:2]; sys.exit(not ($test))" 2>/dev/null || continue
    echo "$python"; return
  done
  return 1
}
mapfile -t all < <(candidates "${with_wheels[@]}" 3.14)
first "(3, 11) <= v <= (3, 13)" "${all[@]}" && exit
{ type -p cc || type -p gcc; } > /dev/null && first "v > (3, 13)" "${all[@]}"
exit 0
