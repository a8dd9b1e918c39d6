# shellcheck shell=sh
# missing IMAGE…: which of them no registry has. The CLI asks it first; but it says so too where it
# cannot get through, so the engine has the last word: it has nothing to fetch then. An image that
# cannot be asked for is not named: nodes may have it.
insecure=$(docker info --format '{{range $name, $its := .RegistryConfig.IndexConfigs}}{{if not $its.Secure}} {{$name}} {{end}}{{end}}')
unknown() { case $1 in *'no such manifest'* | *'manifest unknown'* | *'not found'*) ;; *) false ;; esac; }
for image in "$@"; do
    flag=
    case $insecure in *" ${image%%/*} "*) flag=--insecure ;; esac
    # shellcheck disable=SC2086
    ! unknown "$(docker manifest inspect $flag "$image" 2>&1 >/dev/null)" ||
        ! unknown "$(docker pull -q "$image" 2>&1 >/dev/null)" || echo "missing $image"
done
