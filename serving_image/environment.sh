#!/bin/sh
# Makes, or brings up to date, the Python environment that the serving image runs from where there is no
# GPU base image: Ray, vLLM for CPU and their dependencies, from uv.lock, in one folder that also works
# under another path (containers see it read-only as /opt/rayspan/serving-env).
#
#   sh serving_image/environment.sh [FOLDER]      default: ~/.cache/rayspan/serving-env
#
# Nothing is done when the folder already holds what the lock says.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
environment=${1:-${HOME}/.cache/rayspan/serving-env}
# The interpreter must have the same path in the container as here: the environment links to it.
python=${RAYSPAN_SERVING_PYTHON:-/usr/bin/python3.11}

uv=$(command -v uv || echo "${HOME}/.cache/rayspan/uv/bin/uv")
[ -x "$uv" ] || { echo "environment.sh: uv is missing: https://docs.astral.sh/uv/" >&2; exit 1; }
[ -x "$python" ] || { echo "environment.sh: $python is missing (Debian: apt-get install python3.11)" >&2; exit 1; }

wanted=$({ cat "$here/uv.lock" "$here/environment.sh"; "$python" --version; } | sha256sum | cut -d' ' -f1)
stamp=$environment/.rayspan-lock
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    echo "serving environment: up to date in $environment"
    exit 0
fi

echo "serving environment: Ray, vLLM for CPU and torch into $environment (3.2 GB down, 1 to 3 minutes the first time)"
rm -f "$stamp"
"$uv" venv --quiet --allow-existing --relocatable --python "$python" "$environment"
UV_PROJECT_ENVIRONMENT=$environment "$uv" sync --project "$here" --frozen --no-install-project \
    --python "$python" --compile-bytecode
printf '%s\n' "$wanted" >"$stamp"
echo "serving environment: ready in $environment"
