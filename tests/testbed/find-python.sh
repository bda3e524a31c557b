#!/usr/bin/env bash
# Print a Python from 3.11 on that can make a virtual environment; nothing if there is none. The system's come first:
# every user can read them. pyenv's shims are passed over: they obey version files, and fail where the version that
# they are asked for is not the chosen one.
versions=(3.13 3.12 3.11 3.14)
candidates() {
  for v in "${versions[@]}"; do type -ap "python$v" | grep -v /shims/; done
  type -ap python3 | grep -v /shims/
  for v in "${versions[@]}"; do printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$v"*/bin/python"$v"; done
}
candidates | while read -r python; do
  [ -x "$python" ] || continue
  "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
  echo "$python"; break
done
