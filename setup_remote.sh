#!/usr/bin/env bash
# Make the training environment, from the same lock in three ways.
# Usage: ./setup_remote.sh [--venv | --cpu] [--dev]
#   (no flag)  .venv-remote on the GPU box, by conda, mamba or micromamba from environment-remote.yml
#   --venv     .venv-remote on the GPU box, without conda
#   --cpu      .venv-cpu on a laptop: another build of torch, everything else the same
#   --dev      add what the tests need
# PYTHON=/path/to/python3.12 chooses the interpreter of --venv and --cpu. Safe to re-run and to kill: finished work is kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
VENV=.venv-remote
. scripts/setup_common.sh

find_conda() { # sets CONDA, the command that makes an environment
  if mamba --version >/dev/null 2>&1; then CONDA=(mamba env create)
  elif conda --version >/dev/null 2>&1; then CONDA=(conda env create)
  elif micromamba --version >/dev/null 2>&1; then CONDA=(micromamba create -y)
  else fail "Neither mamba, conda nor micromamba runs here." "./setup_remote.sh --venv (the same packages without conda)"
  fi
}

fill_conda() {
  say "$VENV: making it with ${CONDA[0]} from environment-remote.yml (several gigabytes) ..."
  "${CONDA[@]}" -p "$PWD/$VENV" -f environment-remote.yml >&2
  install_lock requirements-model.txt
}

fill_venv() {
  make_venv
  install_lock requirements-remote.txt
  install_lock requirements-model.txt
}

fill_cpu() {
  make_venv
  install_with "$(grep '^torch==' requirements-cpu.in)" 1 "$VENV/bin/python" -m pip install --no-compile -r requirements-cpu.in
  install_lock requirements-cpu.txt
  install_lock requirements-model.txt
}

main() {
  local extras='' how=conda
  while [ $# -gt 0 ]; do
    case $1 in
      --venv | --cpu) how=${1#--} ;;
      --dev) extras='dev tokenizers' ;;
      -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
      *) say "setup_remote.sh: unknown argument $1 (--help lists them)"; exit 2 ;;
    esac
    shift
  done
  if [ "$how" = conda ]; then
    find_conda
    PYTHON=python3 PYTHON_ASKED='' # only holds the lock: conda brings the interpreter
  else
    find_python
  fi
  one_at_a_time
  case $how in
    conda) setup remote fill_conda "$extras" environment-remote.yml requirements-remote.txt requirements-model.txt ;;
    venv) setup remote fill_venv "$extras" requirements-remote.txt requirements-model.txt ;;
    cpu) VENV=.venv-cpu; setup cpu fill_cpu "$extras" requirements-cpu.in requirements-cpu.txt requirements-model.txt ;;
  esac
}

main "$@"
