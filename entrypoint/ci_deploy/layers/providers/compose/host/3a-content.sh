# shellcheck shell=sh
# The files of the repository that a release contains beside its compose files, and the labels that make
# Compose recreate containers when these files have changed.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# take_content DIR: move the content of a release that was just uploaded to the copies of all releases. A
# copy is named by its hash, so an existing one is the same. Containers of any user may read it; other users
# of this host cannot enter the directory.
take_content() {
    [ -d "$1/content" ] || return 0
    chmod -R u=rwX,go=rX "$1/content" && mkdir -p "$home/content" || return
    for each in "$1"/content/*; do
        [ -e "$home/content/${each##*/}" ] || mv "$each" "$home/content/" || return
    done
    rm -rf "$1/content"
}

# forget_content FILE: remove the copies that it names, unless another release uses them.
forget_content() {
    while IFS= read -r each; do
        grep -qsxF "$each" "$home"/releases/*/contents "$home"/runs/*/release/contents ||
            rm -rf "$home/content/$each"
    done <"$1"
}

# lay RELEASE: copy the files that Compose itself reads to where it looks for them, in DEPLOY_PATH. A
# different file that was there before is kept once, in `replaced`.
lay() {
    [ -f "$1/reads" ] || return 0
    while IFS= read -r name; do
        if [ -e "$path/$name" ] && ! cmp -s "$1/read/$name" "$path/$name" && ! ours "$name"; then
            say "$path/$name now comes from the repository; the previous file is kept in $home/replaced"
            at=$home/replaced/$name
            mkdir -p "${at%/*}" && cp -p "$path/$name" "$at" || return
        fi
        copy "$1/read/$name" "$name" || return
    done <"$1/reads"
}

# place RELEASE: update its files in directories that the host shares with its containers. Files that were
# changed on the host stay; files of an earlier release that this one lacks are removed.
place() (
    umask 022
    if [ -f "$1/places" ]; then
        changed "$1" >"$run/places"
        while IFS= read -r name; do
            if [ -e "$path/$name" ] && ! cmp -s "$1/place/$name" "$path/$name" && ! ours "$name" && ! as_pulled "$name"; then
                say "! $path/$name was changed on this host, so the repository's version is not copied"
            else
                copy "$1/place/$name" "$name" || return
            fi
        done <"$run/places"
    fi
    if [ -f "$home/placed" ]; then
        kept=$1/places
        [ -f "$kept" ] || kept=/dev/null
        awk 'FILENAME ~ /placed$/ { if (!($0 in kept)) print; next } { kept[$0] = 1 }' "$kept" "$home/placed" |
            while IFS= read -r name; do ! ours "$name" || rm -f "$path/$name"; done
    fi
    if [ -f "$1/places" ]; then cp "$1/places" "$home/placed"; else rm -f "$home/placed"; fi
)

# changed RELEASE: print those of its files that differ on the host, or that no release has put there. All are
# compared at once, since a program for each file of a whole repository takes long.
changed() {
    : >>"$home/laid"
    sums "$1/place" "$1/places" >"$run/places.wanted"
    sums "$path" "$1/places" >"$run/places.there"
    awk '
        FILENAME ~ /laid$/ { laid[$0] = 1; next }
        FILENAME ~ /there$/ { there[$0] = 1; next }
        FILENAME ~ /wanted$/ {
            name = substr($0, 67) # after the sum and two spaces; names with a backslash are not found
            if (($0 in there) && ((substr($0, 1, 64) " " name) in laid)) same[name] = 1
            next
        }
        !($0 in same)' "$home/laid" "$run/places.there" "$run/places.wanted" "$1/places"
    rm -f "$run/places.there" "$run/places.wanted"
}

# sums DIR LIST: print the SHA-256 of each file that a list names; none for missing files.
sums() (cd "$1" && tr '\n' '\0' <"$2" | xargs -0 sha256sum 2>/dev/null)

# ours NAME: whether the file is as a release has left it.
ours() { [ -f "$path/$1" ] && grep -qsxF "$(sum "$path/$1") $1" "$home/laid"; }

# as_pulled NAME: whether DEPLOY_PATH is a git checkout (the app was deployed by `git pull` before), and the
# file is unchanged in it.
as_pulled() {
    checkout ls-files --error-unmatch -- "$1" && checkout diff --quiet --no-ext-diff HEAD -- "$1"
} >/dev/null 2>&1

checkout() { git -c safe.directory='*' -c core.fsmonitor=false -C "$path" "$@"; }

sum() { sha256sum <"$1" | cut -d ' ' -f 1; }

# copy FILE NAME: copy it atomically into DEPLOY_PATH.
copy() {
    cmp -s "$1" "$path/$2" || {
        case $2 in */*) mkdir -p "$path/${2%/*}" || return ;; esac
        cat "$1" >"$path/$2.$$" && { [ ! -x "$1" ] || chmod +x "$path/$2.$$"; } &&
            mv -f "$path/$2.$$" "$path/$2" || return
    }
    ours "$2" || echo "$(sum "$path/$2") $2" >>"$home/laid"
}

# --- changed content: Compose recreates no container for it, so its hash becomes a label ---

# second KEY FILE: print the second word of the line whose first word is KEY.
second() { awk -v key="$1" '$1 == key { print $2; exit }' "$2" 2>/dev/null; }

# write_labels MADE: write a label for each service that changes only when its content has changed, so that
# unchanged services are not restarted, even if the previous release was made by a version without labels.
write_labels() (
    made=$1 rel=${1%/*} base=$home/releases/$(current)/proven
    content_sums "$made" >"$made/sums" || return
    [ ! -d "$base" ] || [ -f "$base/sums" ] || content_sums "$base" "$rel" >"$base/sums"
    while read -r svc _; do
        label=$(second "$svc" "$base/labels")
        new=$(second "$svc" "$made/sums")
        if [ "$recreate" = yes ] && flag "$svc" tag; then
            label=${run##*/}
        elif [ -d "$base" ] && [ "$new" != "$(second "$svc" "$base/sums")" ]; then
            label=$new
        fi
        echo "$svc $label"
    done <"$made/model" >"$made/labels"
)

# content_sums MADE [RELEASE]: print `service hash` of the content of its configs, secrets and directories;
# RELEASE has the list of services that have any. The values go through pipes only.
content_sums() (
    made=$1 rel=${1%/*}
    [ -f "$rel/marks" ] || grep -q ' content\( \|$\)' "${2:-$rel}/services" || return 0
    compose "$made" config --format json 2>/dev/null | read_contents | with_values |
        cat - "$rel/marks" 2>/dev/null | LC_ALL=C sort | {
        last='' all=
        while IFS= read -r line; do
            svc=${line%% *}
            if [ "$svc" != "$last" ] && [ -n "$last" ]; then sum_line && all=; fi
            last=$svc all="$all$line;"
        done
        [ -z "$last" ] || sum_line
    }
)

sum_line() { printf '%s %s\n' "$last" "$(printf '%s' "$all" | sha256sum | cut -c 1-16)"; }

# read_contents: `service kind name attribute value` of each config and secret that a service has.
read_contents() {
    awk '
        /^  "[^"]*": / { part = $1; gsub(/[":]/, "", part); list = 0 }
        /^    "[^"]*": \{/ { key = $1; gsub(/[":]/, "", key) }
        part == "services" && /^      "[^"]*": / {
            list = $1; gsub(/[":]/, "", list)
            if (list != "configs" && list != "secrets") list = ""
        }
        part == "services" && list != "" && /^ *"source": "/ {
            name = $2; gsub(/[",]/, "", name)
            uses[++count] = key; of[count] = list " " name
        }
        (part == "configs" || part == "secrets") && /^      "(content|file|environment)": / {
            value[part " " key] = value[part " " key] " " $0
        }
        END { for (i = 1; i <= count; i++) print uses[i], of[i], value[of[i]] }'
}

# with_values: replace the names of files and variables by hashes of their content.
with_values() {
    while IFS= read -r line; do
        word=${line##*\": \"} word=${word%\"*}
        case $line in
        *'"file": "'*) echo "${line%%\"file\"*} $(sum "$word" 2>/dev/null)" ;;
        *'"environment": "'*) echo "$line $(grep "^$word=" "$made/compose.env" | tail -n 1 | sha256sum)" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done
}
