#!/usr/bin/env bash
# Build the documentation as a site, with warnings as errors: scripts/docs.sh [FOLDER], by default
# docs/_build/html. Open its index.html in a browser.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
find_environment
# Stand-ins replace TensorFlow, so an environment that has all else will do.
if ! "$python" -c 'import absl, furo, myst_parser, numpy, PIL, sphinx' 2>/dev/null; then
    install_with '[docs]'
fi

folder=${1:-$checkout/docs/_build/html}
"$python" -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --builder html \
    --doctree-dir "$checkout/docs/_build/doctrees" "$checkout/docs" "$folder"
echo "documentation: $folder/index.html"
