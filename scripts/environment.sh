# Sourced by the other scripts: sets `python` to one that has nst_keras installed, making a virtual
# environment (.venv in the checkout) unless one is active. Safe to run again; a second time is quick.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The first Python of a version that TensorFlow has wheels for.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "nst_keras needs Python 3.10, 3.11, 3.12 or 3.13; none was found on the PATH" >&2
    return 1
}

# install_with EXTRAS: install the checkout with these extras (such as '[test]'), if not done yet.
install_with() {
    local extras=$1 home stamp base
    if [ -n "${VIRTUAL_ENV:-${CONDA_PREFIX:-}}" ]; then
        home=${VIRTUAL_ENV:-$CONDA_PREFIX}
        python=$home/bin/python
    else
        home=$checkout/.venv
        python=$home/bin/python
        if ! "$python" -c '' 2>/dev/null; then
            base=$(find_python)
            echo "making a virtual environment in $home" >&2
            if ! "$base" -m venv --clear "$home"; then
                echo "on Debian and Ubuntu: apt install python3-venv" >&2
                return 1
            fi
        fi
    fi
    stamp="$home/.nst_keras_$( (echo "$checkout$extras"; cat "$checkout/setup.cfg") | cksum | tr ' ' _)"
    if [ ! -e "$stamp" ]; then
        echo "installing nst_keras$extras and what it needs" >&2
        "$python" -m pip install --quiet --disable-pip-version-check --editable "$checkout$extras"
        touch "$stamp"
    fi
}
