#!/bin/sh
# Installs mesoshttp 0.4.2, unmodified from PyPI, into a virtual environment of its own.
#
#   ./install.sh DIRECTORY
#
# Needs: python3 with venv (python3-venv).
set -eu

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: install.sh DIRECTORY"
target=$1
if [ -x "$target/bin/python" ] && "$target/bin/python" -c 'import mesoshttp.client' 2>/dev/null; then
    exit 0
fi
command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "venv is missing: apt-get install python3-venv"
python3 -m venv "$target"
"$target/bin/python" -m pip --quiet --disable-pip-version-check install mesoshttp==0.4.2
"$target/bin/python" -c 'import mesoshttp.client' || fail "mesoshttp was installed, but cannot be imported"
