#!/usr/bin/env bash
# Train: ./train.sh [--config FILE] [name=value ...]. Installs on first use. Without config/config.json and without
# arguments it runs the bundled example.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up "" || exit
if [ $# -eq 0 ] && [ ! -e config/config.json ]; then
    say "no config/config.json in $PWD and no arguments: running the bundled example (--example tiny)"
    set -- --example tiny
fi
export REELTUNE_COMMAND="$0"
exec "$VENV/bin/python" -m reeltune train "$@"
