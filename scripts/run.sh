#!/usr/bin/env bash
# Install nst_keras if needed, and run `nst` with the same arguments, such as photo.jpg painting.jpg.
# Without pictures, a command, --flagfile or --workdir it restyles the sample pictures with
# configs/monet.cfg. Results go to runs/ in the folder from which it is called.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

extras=
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    extras='[cuda]'
fi
install_with "$extras"

case ${1:-} in
    -* | '') own= ;;
    *) own=yes ;; # a picture or a command
esac
previous=
for argument in "$@"; do
    case $argument in
        --flagfile* | --content* | --workdir* | --help* | -h | --version) own=yes ;;
        -*) ;;
        *)
            case $previous in
                -*=*) [ ! -e "$argument" ] || own=yes ;;
                -*) ;; # perhaps the value of that flag
                *) [ ! -e "$argument" ] || own=yes ;;
            esac
            ;;
    esac
    previous=$argument
done
if [ -z "$own" ]; then
    set -- "--flagfile=$checkout/configs/monet.cfg" "$@"
fi
exec "$home/bin/nst" "$@" # not `python -m`, which looks for the package in the present folder first
