#!/usr/bin/env bash
# Send code, configuration and data to a GPU box or a cloud store, then compare every file by sha256.
# Usage, on the machine that has configs/hosts.yaml (HOST is a name in it, or REMOTE:path as rclone knows it):
#   scripts/sync_to_remote.sh HOST --dry-run               # what would move, and how long it would take
#   scripts/sync_to_remote.sh HOST                         # move it; after an interruption the same command continues
#   scripts/sync_to_remote.sh HOST --also adapters/my-run  # a run too, to resume it there
#   scripts/sync_to_remote.sh HOST --verify-only           # compare both sides, move nothing
#   scripts/sync_to_remote.sh HOST --delete                # and delete there what is gone here: shows the files and asks
# PYTHON chooses the interpreter (default: .venv-local, else python3).
set -euo pipefail
# shellcheck source=scripts/sync_common.sh
. "$(dirname "${BASH_SOURCE[0]}")/sync_common.sh"

run_sync to "$@"
