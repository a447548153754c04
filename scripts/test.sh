#!/usr/bin/env bash
# Set up and pass the tests: scripts/test.sh [pytest arguments], such as -m slow.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

install_with '[test]'
exec "$python" -m pytest --rootdir="$checkout" -c "$checkout/setup.cfg" "$checkout/tests" \
    --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
