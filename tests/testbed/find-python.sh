#!/usr/bin/env bash
# Print a Python from 3.11 on that can make a virtual environment; nothing if there is none.
# pyenv's shims are passed over: they obey version files and fail where the wanted version is not the chosen one.
candidates() {
  for v in 3.13 3.12 3.11 3.14; do
    for root in "${PYENV_ROOT:-$HOME/.pyenv}"; do printf '%s\n' "$root"/versions/"$v"*/bin/python"$v"; done
    type -ap "python$v" | grep -v /shims/
  done
  type -ap python3 | grep -v /shims/
}
candidates | while read -r python; do
  [ -x "$python" ] || continue
  "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
  echo "$python"; break
done
