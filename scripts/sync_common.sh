#!/usr/bin/env bash
# What sync_to_remote.sh and sync_from_remote.sh share; sourced by them. The work is done by scripts/weatherman/remote/sync.py.

run_sync() { # "to" or "from", the arguments
  local scripts python
  scripts="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
  python="${PYTHON:-$scripts/../.venv-local/bin/python}"
  if [ -z "${PYTHON:-}" ] && [ ! -x "$python" ]; then
    python=python3
    if ! "$python" -c 'import pydantic, yaml' 2>/dev/null; then
      printf '%s\n' "The local environment is not there yet." "  Try: ./setup_local.sh" >&2
      exit 1
    fi
  fi
  PYTHONPATH="$scripts${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m weatherman.remote.sync "$@"
}
