# Sourced by the other scripts: sets `python` to one that has nst_keras installed. Creates a virtual
# environment (.venv in the checkout) unless one is active. Can be repeated, and is then quick.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Succeeds if $1 is a Python for which TensorFlow has wheels.
usable() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "nst_keras needs Python 3.10, 3.11, 3.12 or 3.13; none was found on the PATH" >&2
    return 1
}

# Sets `home`, the folder of the active environment or of our own, and `python`. Conda's base does
# not count as active, so that TensorFlow is not installed there by accident.
find_environment() {
    local active=${VIRTUAL_ENV:-} base
    if [ -z "$active" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
        active=${CONDA_PREFIX:-}
    fi
    home=${active:-$checkout/.venv}
    python=$home/bin/python
    if usable "$python"; then
        return
    fi
    if [ -n "$active" ]; then
        echo "the active environment $active has no Python 3.10 to 3.13; deactivate it first" >&2
        return 1
    fi
    base=$(find_python)
    echo "creating a virtual environment in $home" >&2
    if ! "$base" -m venv --clear "$home"; then
        echo "on Debian and Ubuntu: apt install python3-venv" >&2
        return 1
    fi
}

# install_with EXTRAS: install the checkout with these extras (such as '[test]') if not done yet.
# A note in the environment records the checkout, its setup.cfg and the extras that are installed.
install_with() {
    local extras=$1 note source
    find_environment
    note=$home/.nst_keras_installed
    source="$checkout $(cksum <"$checkout/setup.cfg")"
    if [ ! -e "$note" ] || [ "$(head -n 1 "$note")" != "$source" ]; then
        echo "$source" >"$note"
    fi
    if ! grep -qxF "with$extras" "$note"; then
        echo "installing nst_keras$extras and its dependencies; TensorFlow is large, so the first" \
            "time takes some minutes" >&2
        "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip --upgrade >/dev/null
        "$python" -m pip install --quiet --disable-pip-version-check --editable "$checkout$extras"
        echo "with$extras" >>"$note"
    fi
}
