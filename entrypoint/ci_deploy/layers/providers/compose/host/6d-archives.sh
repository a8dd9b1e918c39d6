# shellcheck shell=sh
# Images that the job sends, instead of a registry.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

# store: print the engine's platform, its free space and the images that it has, so that only the rest is sent.
store() {
    root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
    free=$(df -Pk "${root:-/var/lib/docker}" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
    echo "engine $(docker info --format '{{.OSType}}/{{.Architecture}}') ${free:-0}"
    ids=$(docker images -q --no-trunc | sort -u)
    # shellcheck disable=SC2086  # words
    [ -z "$ids" ] || docker image inspect $ids \
        -f 'image {{.Id}} {{range .RepoTags}}{{.}} {{end}}|{{range .RootFS.Layers}}{{.}} {{end}}' 2>/dev/null
    return 0
}

# load_images APP BASE BRANCH NAME,ID,ID…: load an archive from stdin. The names are new ones, so that no existing
# name changes its image; they are recorded first, so that they are removed later even if this is killed.
load_images() {
    app=$1 home=$base/apps/$1
    [ "$2" = - ] || { mkdir -p "$path" && put "$path/review" "$2 $3"; } || exit
    shift 3
    mkdir -p "$home" || exit
    for each in "$@"; do echo "$(date +%s) ${each%%,*}" >>"$home/loaded"; done
    known=$(docker images -q --no-trunc)
    said=$(docker load -q 2>&1 >/dev/null) || {
        # The containerd image store keeps one that it could not unpack.
        for each in "$@"; do docker rmi "${each%%,*}" >/dev/null 2>&1; done
        say "${said:-docker load failed}"
        exit 1
    }
    for each in "$@"; do
        sum=$(docker image inspect -f '{{.Id}}' "${each%%,*}" 2>&1)
        case ",${each#*,}," in *",$sum,"*) ;; *) say "${each%%,*} is not the image that was sent, but: $sum" && exit 1 ;; esac
        echo "$known" | grep -qx "$sum" || grep -qsx "$sum" "$home/pulled" || echo "$sum" >>"$home/pulled"
    done
}

# take_loaded: use the images that were sent, by their new names.
take_loaded() {
    [ -f "$rel/loaded" ] || return 0
    while read -r svc image ids; do
        sum=$(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null)
        case " $ids " in *" ${sum:-none} "*) ;; *)
            why="$svc: $image, which was sent to this host, is gone from it: deploy again"
            return 1
            ;;
        esac
    done <"$rel/loaded"
    take_from "$rel/loaded"
}

# sent NAME: whether a pinned name is one of an image that `load_images` has loaded.
sent() { case $1 in '' | - | *@*) return 1 ;; esac }

# remove_sent NAME: remove the image, unless a release keeps it or it was just sent.
remove_sent() {
    grep -qs " $1\$" "$home/loaded" || kept "$1" || docker rmi "$1" >/dev/null 2>&1
}

# forget_sent: remove the images that were sent over a day ago and belong to no release that is kept.
forget_sent() {
    [ -f "$home/loaded" ] || return 0
    yesterday=$(($(date +%s) - 86400))
    awk -v since="$yesterday" '$1 < since { print $2 }' "$home/loaded" | sort -u >"$run/sent"
    [ -s "$run/sent" ] || return 0
    awk -v since="$yesterday" '$1 >= since' "$home/loaded" >"$home/loaded.$$" &&
        mv -f "$home/loaded.$$" "$home/loaded"
    while read -r name; do remove_sent "$name"; done <"$run/sent"
}
