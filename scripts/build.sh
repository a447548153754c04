#!/usr/bin/env bash
# Build the sdist and the wheel of the last commit, and check them: scripts/build.sh [FOLDER], by
# default dist/. They are built twice, and must have the same bytes.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
find_environment
# An environment with the tools alone will do: they do not need TensorFlow.
if ! "$python" -c 'import build, check_wheel_contents, twine' 2>/dev/null; then
    install_with '[package]'
fi

most_bytes=$((25 * 1024 * 1024)) # of the wheel
folder=${1:-$checkout/dist}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git -C "$checkout" log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# From the commit, so that no other file of the folder gets in; with modes that no umask changes.
umask 022
for round in first second; do
    mkdir "$work/$round"
    git -C "$checkout" archive --format=tar HEAD | tar -x -C "$work/$round"
    # The wheel is built from the sdist.
    "$python" -m build --outdir "$work/$round/dist" "$work/$round" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
done
for path in "$work"/first/dist/*; do
    cmp "$path" "$work/second/dist/$(basename "$path")"
done
echo "two builds have the same bytes"

wheel=$(echo "$work"/first/dist/*.whl)
bytes=$(wc -c <"$wheel")
if [ "$bytes" -gt "$most_bytes" ]; then
    echo "the wheel has $bytes bytes; at most $most_bytes are allowed" >&2
    exit 1
fi
"$python" -m zipfile --list "$wheel" >"$work/names"
grep -q '^nst_keras/py.typed ' "$work/names"
grep -q '^nst_keras/data/vgg19_imagenet_notop_8bit.npz ' "$work/names"
if grep -E '^(tests|scripts|docs|configs)/|/test_' "$work/names"; then
    echo "the wheel holds files that are not of the package" >&2
    exit 1
fi
"$python" -m twine check --strict "$work"/first/dist/*
"$python" -m check_wheel_contents "$wheel"
cp "$work"/first/dist/* "$folder/"
(cd "$folder" && ls -l nst_keras-*)
