#!/bin/sh
# Makes a virtual environment of Python's with packages from PyPI, unless what is wanted of them is there.
#
#   ./venv.sh DIRECTORY MODULE PACKAGE...
#
# MODULE is what can be imported then. Needs: python3 with venv (python3-venv).
set -eu

fail() {
    echo "venv.sh: $1" >&2
    exit 1
}

[ $# -ge 3 ] || fail "usage: venv.sh DIRECTORY MODULE PACKAGE..."
target=$1
module=$2
shift 2
if [ -x "$target/bin/python" ] && "$target/bin/python" -c "import $module" 2>/dev/null; then
    exit 0
fi
command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "venv is missing: apt-get install python3-venv"
python3 -m venv "$target"
"$target/bin/python" -m pip --quiet --disable-pip-version-check install "$@"
"$target/bin/python" -c "import $module" || fail "$* was installed, but $module cannot be imported"
