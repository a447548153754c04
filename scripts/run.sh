#!/usr/bin/env bash
# Set up and paint: scripts/run.sh [flags]. Without a picture or a flagfile of yours it paints the
# sample pictures by configs/monet.cfg. Results go to runs/ in the folder that you call it from.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

extras=
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    extras='[cuda]'
fi
install_with "$extras"

own=
for argument in "$@"; do
    case $argument in
        --flagfile | --flagfile=* | --content | --content=* | --workdir | --workdir=* | --help | --version) own=yes ;;
    esac
done
if [ -z "$own" ]; then
    set -- "--flagfile=$checkout/configs/monet.cfg" "$@"
fi
exec "$python" -m nst_keras.run "$@"
