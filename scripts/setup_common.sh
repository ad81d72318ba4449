#!/usr/bin/env bash
# What setup_local.sh and setup_remote.sh share; sourced by them in the repository root, with VENV set.
# An environment is finished when its stamp, written last, names these locks and its Python. One without is rebuilt from
# nothing: a killed installer leaves packages that look installed and are not.

unset PYTHONHOME PYTHONPATH  # another environment's packages would be taken for this one's
unset PIP_CONSTRAINT         # vendors' GPU images set it, and it contradicts the lock
PYTHON_ASKED=${PYTHON:-}
ME=./${0##*/}
MISSING=()                   # programs, by Debian's names, that the next apt-get should bring as well

say() { printf '%s\n' "$*" >&2; }

fail() { # message, next thing to type
  say "$1"
  say "  Try: $2"
  exit 1
}

supported() { # python, modules -> whether it is 3.10-3.13, has them and runs: a version manager's shim can exist and fail
  "$1" -I -c "import sys, ${2:-ensurepip, venv}; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))" >/dev/null 2>&1
}

first_python() { # modules -> sets PYTHON to the first that has them
  local candidate
  for candidate in python3.10 python3.11 python3.12 python3.13 python3; do
    if supported "$candidate" "$1"; then
      PYTHON=$candidate
      return
    fi
  done
  return 1
}

find_python() { # sets PYTHON: the given one, else the first that runs
  if [ -n "${PYTHON:-}" ]; then
    supported "$PYTHON" || fail "PYTHON=$PYTHON does not run, or is not Python 3.10-3.13 with venv." "PYTHON=python3.11 $ME"
  elif ! first_python 'ensurepip, venv'; then
    no_python
  fi
}

no_python() { # ends: what brings a Python here, together with all else that is missing
  local package=python3-venv
  if first_python sys; then # it only lacks what Debian cuts off
    package=$("$PYTHON" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  elif python3 -V >/dev/null 2>&1; then # an apt-get would bring the same again
    fail "The only Python here is $(python3 -V); 3.10-3.13 are supported." \
      "install micromamba, which brings one (https://mamba.readthedocs.io), then $ME"
  fi
  type -P apt-get >/dev/null || fail "No Python 3.10-3.13 with venv runs here." "install one, then PYTHON=/path/to/python3.11 $ME"
  fail "Missing here, so nothing was installed: $package${MISSING[*]+ ${MISSING[*]}}." \
    "$(apt_get "$package" ${MISSING[@]+"${MISSING[@]}"}) && $ME"
}

apt_get() { # packages -> the command that installs them
  local sudo=''
  [ "$EUID" = 0 ] || sudo='sudo '
  printf '%s' "${sudo}apt-get update && ${sudo}apt-get install -y $*"
}

one_at_a_time() { # holds a lock until this script and every installer it started have ended, kill -9 included
  exec 9<>"$ME"
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

install_with() { # label, number of packages, the installer and its arguments
  local started=$SECONDS
  say "$VENV: installing $1 ..."
  PYTHONUNBUFFERED=1 "${@:3}" 2>&1 | "$VENV/bin/python" -I scripts/weatherman/machines/install_log.py "$VENV/setup.log" "$2" || {
    tail -n 15 "$VENV/setup.log" >&2
    fail "$VENV: installing $1 failed. Its whole output: $VENV/setup.log" "$ME (it begins anew)"
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

before_building() { :; }     # setup_remote.sh looks at the box here

setup() { # name for validate_environment.py, function that fills the environment, names of locks to add, files it comes from
  local name=$1 build=$2 extras=$3 extra quick=()
  shift 3
  if is_current finished "$@"; then
    say "$VENV: current ($("$VENV/bin/python" -V), made from $*), nothing to install"
  else
    before_building
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
