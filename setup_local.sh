#!/usr/bin/env bash
# Make .venv-local, the data tools without torch: on the Mac, or wherever data is prepared.
# Usage: ./setup_local.sh [--dev] [--add NAME] [--into DIR]
#   --dev       add what the tests need; the same as --add dev
#   --add NAME  add requirements-NAME.txt: praw for 02 --praw, teacher for 06 and 07 --teacher, bench for make bench, sky for the
#               check of configs/sky.yaml; may be repeated
#   --into DIR  another folder than .venv-local
# PYTHON=/path/to/python3.12 chooses the interpreter. Safe to re-run and to kill: finished work is kept, unfinished redone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
VENV=.venv-local
. scripts/setup_common.sh

fill() {
  make_venv
  install_lock requirements-local.txt
}

main() {
  local extras=''
  while [ $# -gt 0 ]; do
    case $1 in
      --dev) extras="$extras dev" ;;
      --add)
        case ${2:-} in
          dev | praw | bench | teacher | sky) extras="$extras $2"; shift ;;
          *) say "setup_local.sh: --add ${2:-}: expected dev, praw, bench, teacher or sky"; exit 2 ;;
        esac ;;
      --into)
        VENV=${2:-}
        case $VENV in # this folder is removed and made anew, so it must be recognisable as ours
          */* | '') say "setup_local.sh: --into takes a name such as .venv-other"; exit 2 ;;
          .venv*) shift ;;
          *) say "setup_local.sh: --into $VENV: the name must begin with .venv"; exit 2 ;;
        esac ;;
      -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$ME"; exit 0 ;;
      *) say "setup_local.sh: unknown argument $1 (--help lists them)"; exit 2 ;;
    esac
    shift
  done
  find_python
  one_at_a_time
  setup local fill "$extras" requirements-local.txt
}

main "$@"
