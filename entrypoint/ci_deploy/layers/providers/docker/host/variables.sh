# shellcheck shell=sh
# The variables of the compose files that have no value.

# unset_variables ERRORS VARIABLES, the files on stdin: those that Compose takes as empty, by what it printed.
unset_variables() {
    ! grep -qs 'is missing a value' "$1" || required "$2"
    sed -n 's/.*The \\*"\([A-Za-z_][A-Za-z0-9_]*\)\\*" variable is not set.*/unset \1/p' "$1" 2>/dev/null | sort -u
}

# required VARIABLES: those that must have a value (`${NAME:?}`) and have none; Compose names the first only.
required() {
    grep -v '^ *#' | grep -o '[$]{[A-Za-z_][A-Za-z0-9_]*:\{0,1\}?' | tr -d '{$:?' | sort -u |
        while read -r name; do grep -q "^\(export \)\{0,1\}$name=." "$1" || echo "required $name"; done
}
