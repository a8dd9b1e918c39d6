# shellcheck shell=sh
# What the scripts beside this one share. Sourced, never run.

say() { printf '%s\n' "${0##*/}: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

# Nothing here asks for a password: whoever may not install is told the one line that does.
as_root() {
    [ "$(id -u)" -eq 0 ] || fail "$1. Run this once, then try again: sudo $2"
}

# packages NAME…: the Debian packages that are not there yet.
packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "install these yourself, there is no apt-get:$missing"
    as_root "these packages are missing:$missing" "apt-get install -y$missing"
    # An empty machine has no package lists, an old one has lists of files that are gone.
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
    say "installed$missing"
}
