#!/usr/bin/env bash
# Fetch adapters with their metrics, logs and reports from a GPU box, then compare every file by sha256.
# Usage, on the machine that has configs/hosts.yaml (HOST is a name in it):
#   scripts/sync_from_remote.sh HOST --dry-run      # what would move
#   scripts/sync_from_remote.sh HOST                # move it; after an interruption the same command continues
#   scripts/sync_from_remote.sh HOST --verify-only  # compare both sides, move nothing
# The work is done by scripts/weatherman/machines/sync.py. PYTHON chooses the interpreter (default: .venv-local, else python3).
set -euo pipefail

main() {
  local scripts python
  scripts="$(cd "$(dirname "$0")" && pwd -P)"
  python="${PYTHON:-$scripts/../.venv-local/bin/python}"
  if [ -z "${PYTHON:-}" ] && [ ! -x "$python" ]; then
    python=python3
    if ! "$python" -c 'import pydantic, yaml' 2>/dev/null; then
      printf '%s\n' "The local environment is not there yet." "  Try: ./setup_local.sh" >&2
      exit 1
    fi
  fi
  PYTHONPATH="$scripts${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m weatherman.machines.sync from "$@"
}

main "$@"
