#!/usr/bin/env bash
# Make the training environment, from the same lock in three ways.
# Usage: ./setup_remote.sh [--venv | --cpu] [--dev]
#   (no flag)  .venv-remote on the GPU box: by conda, mamba or micromamba from environment-remote.yml, or by venv where none runs
#   --venv     .venv-remote on the GPU box, without conda
#   --cpu      .venv-cpu on a laptop: another build of torch, everything else the same
#   --dev      add what the tests need
# PYTHON=/path/to/python3.12 chooses the interpreter of --venv and --cpu. Safe to re-run and to kill: finished work is kept.
# Exit status: 0 done; 1 something to mend; 2 wrong flag; 3 the environment is finished, but no card here can train.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
VENV=.venv-remote
. scripts/setup_common.sh

find_conda() { # sets CONDA, the command that makes an environment, and never asks
  export CONDA_ALWAYS_YES=true MAMBA_ALWAYS_YES=true
  if mamba --version >/dev/null 2>&1; then CONDA=(mamba env create)
  elif conda --version >/dev/null 2>&1; then CONDA=(conda env create)
  elif micromamba --version >/dev/null 2>&1; then CONDA=(micromamba create -y)
  else return 1
  fi
}

bring_python() { # sets PYTHON to one that conda makes: it has its own, but the lock and the checks come before it
  PYTHON=$PWD/.venv-python/bin/python
  supported "$PYTHON" sys && return
  say ".venv-python: no Python 3.10-3.13 runs here; ${CONDA[0]} brings one for the checks"
  "${CONDA[0]}" create -y -p "$PWD/.venv-python" --override-channels -c conda-forge python=3.10 >&2
}

choose_way() { # sets `how` where no flag did, and PYTHON
  if [ "$how" = auto ] && find_conda; then
    how=conda PYTHON_ASKED=''
    say "$VENV: by ${CONDA[0]}, which runs here (--venv: without it)"
    type -P python3 >/dev/null || MISSING+=(python3)
    supported "${PYTHON:-}" sys || first_python sys || bring_python
    return
  fi
  [ "$how" != auto ] || say "$VENV: by venv, since neither mamba, conda nor micromamba runs here"
  [ "$how" = cpu ] || how=venv
  find_python
}

look_for_programs() { # adds to MISSING what a run that outlives its connection needs
  local program
  for program in tmux rsync; do
    type -P "$program" >/dev/null || MISSING+=("$program")
  done
}

on_box() { # env | room: see the module
  PYTHONPATH=scripts "$PYTHON" -m weatherman.machines.before_setup "$1" "$VENV"
}

use_this_disk() { # wheels of several gigabytes would fill a pod's own small disk, and it is the volume that was measured
  export TMPDIR="$PWD/.cache/setup" UV_CACHE_DIR="$PWD/.cache/setup/uv" PIP_NO_CACHE_DIR=1
  trap 'rm -rf "$TMPDIR"' EXIT
  rm -rf "$TMPDIR"
  mkdir -p "$TMPDIR"
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

make_remote() { # the environment of the GPU box, and whether its card can train
  local settings
  before_building() { use_this_disk; on_box room; }
  look_for_programs
  choose_way
  if [ ${#MISSING[@]} -gt 0 ]; then
    say "note: missing here: ${MISSING[*]}. Without tmux a run over ssh ends with its connection; without rsync files move the slower way."
    say "  Try: $(apt_get "${MISSING[@]}")"
  fi
  one_at_a_time
  settings=$(on_box env)
  eval "$settings"
  setup remote "fill_$how" "$extras" environment-remote.yml requirements-remote.txt requirements-model.txt
  "$VENV/bin/python" scripts/check_gpu.py >&2 && return
  say "$VENV: finished and kept, but no card here can train (above)."
  say "  Try: mend that and check again (.venv-remote/bin/python scripts/check_gpu.py), or take this folder to another machine"
  exit 3
}

main() {
  local extras='' how=auto
  while [ $# -gt 0 ]; do
    case $1 in
      --venv | --cpu) how=${1#--} ;;
      --dev) extras='dev tokenizers' ;;
      -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$ME"; exit 0 ;;
      *) say "setup_remote.sh: unknown argument $1 (--help lists them)"; exit 2 ;;
    esac
    shift
  done
  if [ "$how" != cpu ]; then
    make_remote
  else
    VENV=.venv-cpu
    find_python
    one_at_a_time
    setup cpu fill_cpu "$extras" requirements-cpu.in requirements-cpu.txt requirements-model.txt
  fi
}

main "$@"
