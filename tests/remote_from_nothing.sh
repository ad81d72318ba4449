#!/usr/bin/env bash
# Make the GPU box's environment from nothing on this machine, and run the trainer's tests in it on the CPU (make test-remote).
# Usage: tests/remote_from_nothing.sh PYTHON      a Python 3.10, the reference
# Works in .venv-remote-test, a copy of what git would commit: 8 GB, 13 while it installs. It goes when all went well, and stays to be
# looked at when something failed; the next run begins without it. Linux x86-64; no card is needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
COPY=.venv-remote-test

copy_repository() {
  rm -rf "$COPY"
  mkdir "$COPY"
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' name; do
    [ ! -e "$name" ] || printf '%s\0' "$name" # removed, but not committed yet
  done | tar --null -T - -cf - | tar -xf - -C "$COPY"
}

main() {
  local status=0 size ready
  unset WEATHERMAN_BASE_DIR HF_HOME VOLUME_QUOTA_GB
  copy_repository
  cd "$COPY"
  PYTHON=${1:?a Python 3.10} ./setup_remote.sh --venv --dev || status=$?
  case $status in
    0 | 3) ;; # 3: finished, but no card here can train, which is what the CPU is for
    *) echo "setup_remote.sh ended with status $status; what it made is in $COPY" >&2; exit 1 ;;
  esac
  ready=$SECONDS
  size=$(du -sm .venv-remote | cut -f 1)
  OMP_NUM_THREADS=1 .venv-remote/bin/python -m pytest --timeout=300 tests/training/test_train_script.py
  echo "From nothing: $(.venv-remote/bin/python -V), torch $(.venv-remote/bin/python -c 'import torch; print(torch.__version__)')," \
    "$size MiB in $ready s; trained, resumed and evaluated on the CPU in $((SECONDS - ready)) s."
  cd ..
  rm -rf "$COPY"
}

main "$@"
