# Sourced by train.sh and test.sh: makes .venv beside this file and installs reeltune into it, once.
#
#   set_up EXTRAS    EXTRAS: what is installed beside the core, such as dev; empty for none.
#
# A second call with nothing changed costs a file comparison.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
VENV="$ROOT/.venv"

say() { printf '%s\n' "$*" >&2; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
        fits "$candidate" && command -v "$candidate" && return
    done
    say "reeltune needs Python 3.11, 3.12 or 3.13 (3.10 is past its end of life); found: $(python3 --version 2>&1)."
    say "Install one, such as: sudo apt install python3.12 python3.12-venv. Or name one: PYTHON=/path/to/python3.12"
    return 2
}

# Prints why the .venv that is there cannot be used as it is; nothing when it can, or when there is none.
what_is_wrong() {
    local found
    [ -e "$VENV" ] || return
    if ! fits "$VENV/bin/python"; then
        found="$("$VENV/bin/python" --version 2>/dev/null || echo missing or broken)"
        echo "its Python is ${found#Python }, and 3.11 to 3.13 is needed"
    elif ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        say "$VENV has no pip: adding it, the rest stays"
        "$VENV/bin/python" -m ensurepip >/dev/null 2>&1 || echo "it has no pip, and Python's ensurepip could not add it"
    fi
}

make_venv() {
    local python output wrong aside="$VENV.aside"
    wrong="$(what_is_wrong)"
    [ -e "$VENV" ] && [ -z "$wrong" ] && return
    python="$(find_python)" || return 2
    [ -z "$wrong" ] || say "$VENV is made anew: $wrong"
    say "making $VENV with $("$python" --version)"
    # The old one goes only once there is a new one.
    rm -rf "$aside"
    [ -e "$VENV" ] && mv "$VENV" "$aside"
    if ! output="$("$python" -m venv "$VENV" 2>&1)"; then
        rm -rf "$VENV"
        [ -e "$aside" ] && mv "$aside" "$VENV" && say "$VENV is left as it was"
        say "$output"
        say "$VENV could not be made. If Python's venv module is missing: sudo apt install python3-venv"
        say "(for a Python of another version, such as 3.12: sudo apt install python3.12-venv)"
        return 2
    fi
    rm -rf "$aside"
}

wanted_state() { printf '%s\n' "extras: $1" "root: $ROOT"; cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" "$ROOT/setup.sh"; }

set_up() {
    local extras="$1" stamp
    make_venv || return
    # The test set-up holds all that the plain one does.
    for stamp in "$VENV/installed-$extras" "$VENV/installed-dev"; do
        wanted_state "$(basename "$stamp" | sed s/installed-//)" | cmp -s - "$stamp" && return
    done
    say "installing reeltune and what it needs (once; several minutes where torch has to be fetched)"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$ROOT/constraints.txt" \
        --editable "$ROOT${extras:+[$extras]}" || { say "the installation failed; mend what pip says above, then run this again"; return 1; }
    wanted_state "$extras" >"$VENV/installed-$extras"
}
