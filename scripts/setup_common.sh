#!/usr/bin/env bash
# What setup_local.sh and setup_remote.sh share; sourced by them in the repository root, with VENV set.
# An environment is finished when its stamp, written last, names these locks and its Python. One without is rebuilt from
# nothing: a killed installer leaves packages that look installed and are not.

unset PYTHONHOME PYTHONPATH  # another environment's packages would be taken for this one's
unset PIP_CONSTRAINT         # vendors' GPU images set it, and it contradicts the lock
PYTHON_ASKED=${PYTHON:-}

say() { printf '%s\n' "$*" >&2; }

fail() { # message, next thing to type
  say "$1"
  say "  Try: $2"
  exit 1
}

supported() { # python -> whether it is 3.10-3.13 and runs: a version manager's shim can exist and fail
  "$1" -I -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() { # sets PYTHON: the given one, else the first that runs
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    supported "$PYTHON" || fail "PYTHON=$PYTHON does not run, or is not Python 3.10-3.13 with venv." "PYTHON=python3.11 $0"
    return
  fi
  for candidate in python3.10 python3.11 python3.12 python3.13 python3; do
    if supported "$candidate"; then
      PYTHON=$candidate
      return
    fi
  done
  fail "No Python 3.10-3.13 with venv runs here." "install one, then PYTHON=/path/to/python3.11 $0"
}

one_at_a_time() { # holds a lock until this script and every installer it started have ended, kill -9 included
  exec 9<>"$0"
  "$PYTHON" -I -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("another setup, or the installer that a killed one left behind, is at work: waiting for it", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    print("this disk has no file locks: do not run two setups at once", file=sys.stderr)'
}

fingerprint() { # files -> what a stamp holds: the Python of the environment, and the hash of each file
  "$VENV/bin/python" -I -c '
import hashlib, platform, sys
print(platform.python_version(), *(hashlib.sha256(open(name, "rb").read()).hexdigest() for name in sys.argv[1:]))' "$@"
}

is_current() { # stamp, files -> whether the environment was finished from these files, with the Python asked for
  [ -f "$VENV/.$1" ] && supported "$VENV/bin/python" && [ "$(cat "$VENV/.$1")" = "$(fingerprint "${@:2}")" ] || return 1
  [ -z "$PYTHON_ASKED" ] || [ "$("$PYTHON_ASKED" -V)" = "$("$VENV/bin/python" -V)" ]
}

show_progress() { # number of packages; keeps an installer's output in the log and shows one moving line, or some lines
  local line count=0
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$VENV/setup.log"
    case $line in
      Collecting*) count=$((count + 1)); line="$count of $1: ${line%% (*}" ;;
      *Downloading*' MB'*) line="downloading${line##*Downloading}" ;;
      Building* | Installing* | Prepared* | Installed*) ;;
      *) continue ;;
    esac
    if [ -t 2 ]; then
      printf '\r\033[K  %.70s' "$line" >&2
    elif [ $((count % 25)) -eq 0 ] || [ "${line#[BIP]}" != "$line" ]; then
      say "  ${line:0:70}"
    fi
  done
  [ ! -t 2 ] || printf '\r\033[K' >&2
}

install_with() { # label, number of packages, the installer and its arguments
  local started=$SECONDS
  say "$VENV: installing $1 ..."
  PYTHONUNBUFFERED=1 "${@:3}" 2>&1 | show_progress "$2" || {
    tail -n 15 "$VENV/setup.log" >&2
    fail "$VENV: installing $1 failed. Its whole output: $VENV/setup.log" "$0 (it begins anew)"
  }
  say "$VENV: installed $1 in $((SECONDS - started)) s"
}

install_lock() { # lock file: everything in it, by hash, and nothing beside it
  local count name=pip installer=("$VENV/bin/python" -m pip install --no-compile --use-pep517)
  count=$(grep -c '==' "$1")
  if uv --version >/dev/null 2>&1; then
    name=uv installer=(env UV_PYTHON_DOWNLOADS=never uv pip install --python "$VENV/bin/python")
  fi
  install_with "$1 ($count pinned, by $name)" "$count" "${installer[@]}" --no-deps --require-hashes -r "$1"
}

make_venv() { # an empty environment of $PYTHON
  say "$VENV: making it with $("$PYTHON" -V)"
  case $("$PYTHON" -V) in *' 3.10.'*) say "note: Python 3.10 has reached its end of life. It works here; so do 3.11-3.13." ;; esac
  "$PYTHON" -m venv "$VENV"
}

add_lock() { # name, files the environment comes from: adds requirements-NAME.txt where it was not added yet
  local name=$1
  shift
  set -- "$@" "requirements-$name.txt"
  if is_current "finished-$name" "$@"; then return; fi
  mv "$VENV/.finished" "$VENV/.unfinished"
  install_lock "requirements-$name.txt"
  fingerprint "$@" >"$VENV/.finished-$name"
  mv "$VENV/.unfinished" "$VENV/.finished"
}

setup() { # name for validate_environment.py, function that fills the environment, names of locks to add, files it comes from
  local name=$1 build=$2 extras=$3 extra quick=()
  shift 3
  if is_current finished "$@"; then
    say "$VENV: current ($("$VENV/bin/python" -V), made from $*), nothing to install"
  else
    [ ! -e "$VENV" ] || say "$VENV: unfinished, or of other locks or another Python: rebuilding it"
    rm -rf "$VENV"
    "$build"
    fingerprint "$@" >"$VENV/.finished"
  fi
  for extra in $extras; do
    add_lock "$extra" "$@"
  done
  [ ! -f "$VENV/.validated" ] || quick=(--quick)
  "$VENV/bin/python" scripts/validate_environment.py "--env=$name" ${quick[@]+"${quick[@]}"} >&2
  touch "$VENV/.validated"
  say "$VENV: ready after $SECONDS s"
}
