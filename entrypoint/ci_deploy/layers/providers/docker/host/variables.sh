# shellcheck shell=sh
# The variables of the compose files that have no value.

# unset_variables ERRORS VARIABLES, the files on stdin: print those for which Compose's output says that it uses an
# empty value.
unset_variables() {
    ! grep -qs 'is missing a value' "$1" || required "$2"
    sed -n 's/.*The \\*"\([A-Za-z_][A-Za-z0-9_]*\)\\*" variable is not set.*/unset \1/p' "$1" 2>/dev/null | sort -u
}

# required VARIABLES: print those that must have a value (`${NAME:?}`) and have none; Compose reports only the first.
required() {
    grep -v '^ *#' | grep -o '[$]{[A-Za-z_][A-Za-z0-9_]*:\{0,1\}?' | tr -d '{$:?' | sort -u |
        while read -r name; do grep -q "^\(export \)\{0,1\}$name=." "$1" || echo "required $name"; done
}
