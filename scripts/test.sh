#!/usr/bin/env bash
# Install nst_keras if needed, and run its tests: scripts/test.sh [pytest arguments, as -m slow].
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

install_with '[test]'
exec "$python" -m pytest --rootdir="$checkout" -c "$checkout/setup.cfg" "$checkout/tests" \
    --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
