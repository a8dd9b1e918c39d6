#!/bin/sh
# Make the image debian:trixie-slim available, the very name in every FROM of this project:
# pulled where there is a registry, bootstrapped from the machine's own package mirror where not.
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./lib.sh

image=debian:trixie-slim suite=trixie

if docker image inspect "$image" >/dev/null 2>&1; then
    say "$image is there already"
    exit 0
fi
# Without a network route Docker would try for minutes. (macOS has no `timeout`.)
limit=$(command -v timeout) && limit="$limit 60" || limit=
if $limit docker pull -q "$image" >/dev/null 2>&1; then
    say "pulled $image"
    exit 0
fi

as_root "no registry gives $image, so it must be bootstrapped" "sh tests/machine/base-image.sh"
packages debootstrap ca-certificates

# The mirror of this machine, also for updates and security: its lines with the other suite's name.
# shellcheck source=/dev/null
host_suite=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016  # apt's own placeholders
sources=$(apt-get indextargets 'Created-By: Packages' \
    --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' |
    awk -v from="$host_suite" -v to="$suite" '
        $3 == "main" && ($2 == from || index($2, from "-") == 1) {
            sub("^" from, to, $2)
            print "deb", $1, $2, $3
        }' | sort -u)
mirror=$(printf '%s\n' "$sources" | awk -v suite="$suite" '$3 == suite { print $2; exit }')
[ -n "$mirror" ] || fail "no Debian mirror in the apt sources of this machine, and no registry"

umask 022 # of the image, too
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" \
    >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2 && fail "debootstrap failed"; }
printf '%s\n' "$sources" >"$root/etc/apt/sources.list"
echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/docker-no-languages" # as in the real one

# Certificate authorities that this machine trusts beyond Debian's own (a proxy's, a company's):
# without them pip, npm and git could not reach anything inside `docker build` either.
awk -v dir="$root/usr/local/share/ca-certificates" '
    /BEGIN CERT/ { pem = "" }
    { pem = pem $0 "\n" }
    /END CERT/ {
        if (FILENAME ~ /mozilla/) known[pem] = 1
        else if (!(pem in known)) printf "%s", pem > (dir "/host-" ++n ".crt")
    }' "$root"/usr/share/ca-certificates/mozilla/*.crt /usr/share/ca-certificates/mozilla/*.crt \
    /etc/ssl/certs/ca-certificates.crt
chroot "$root" update-ca-certificates >/dev/null 2>&1

# debootstrap copies this machine's names into it.
rm -rf "$root"/etc/hostname "$root"/etc/resolv.conf "$root"/var/log/*.log \
    "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
tar -C "$root" -c . | docker import -c 'CMD ["bash"]' - "$image" >/dev/null
say "bootstrapped $image from $mirror"
