#!/bin/sh
# Installs PyMesos 0.3.15, unmodified from PyPI, into a virtual environment of its own.
#
#   ./install.sh DIRECTORY
#
# Its dependency http-parser 0.9.0 carries C code that was generated for older Pythons and does not
# compile with Python 3.11 (Debian 12's). It does once Cython has generated it again.
# Needs: python3 with venv (python3-venv), a C compiler (gcc), Python's headers (python3-dev).
set -eu

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: install.sh DIRECTORY"
target=$1
if [ -x "$target/bin/python" ] && "$target/bin/python" -c 'import pymesos' 2>/dev/null; then
    exit 0
fi
command -v cc >/dev/null || fail "a C compiler is missing: apt-get install gcc"
# http-parser's setup.py is of the time before pyproject.toml: it takes the tools that are there.
"$(dirname "$0")/../venv.sh" "$target" Cython 'setuptools<70' wheel 'Cython<3'
header=$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
[ -f "$header" ] || fail "$header is missing: apt-get install python3-dev"

pip() {
    "$target/bin/python" -m pip --quiet --disable-pip-version-check "$@"
}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

pip download --no-deps --no-binary :all: --no-build-isolation --dest "$build" http-parser==0.9.0
tar -xzf "$build"/http-parser-0.9.0.tar.gz -C "$build"
"$target/bin/cython" -2 "$build/http-parser-0.9.0/http_parser/parser.pyx" >"$build/log" 2>&1 || {
    cat "$build/log" >&2
    fail "Cython could not generate http-parser's C code"
}
pip install --no-deps --no-build-isolation "$build/http-parser-0.9.0"
pip install --no-build-isolation pymesos==0.3.15
"$target/bin/python" -c 'import pymesos' || fail "PyMesos was installed, but cannot be imported"
