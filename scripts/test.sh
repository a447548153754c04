#!/usr/bin/env bash
# Install nst_keras if needed, and run its tests, or some of them:
# scripts/test.sh [pytest arguments, as -m slow or tests/test_run.py].
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

install_with '[test]'
tests=("$checkout/tests")
for argument in "$@"; do
    if [ -e "${argument%%::*}" ]; then
        tests=()  # those that are named
    fi
done
exec "$python" -m pytest --rootdir="$checkout" -c "$checkout/setup.cfg" \
    ${tests[@]+"${tests[@]}"} --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
