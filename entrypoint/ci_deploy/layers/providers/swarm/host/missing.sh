# shellcheck shell=sh
# missing IMAGE…: print those that no registry has. The CLI's answer alone is not enough, since it says the same
# when it cannot reach the registry: a pull by the engine decides. If neither gets an answer, the image is not
# printed: nodes may have it.
insecure=$(docker info --format '{{range $name, $its := .RegistryConfig.IndexConfigs}}{{if not $its.Secure}} {{$name}} {{end}}{{end}}')
unknown() { case $1 in *'no such manifest'* | *'manifest unknown'* | *'not found'*) ;; *) false ;; esac; }
for image in "$@"; do
    flag=
    case $insecure in *" ${image%%/*} "*) flag=--insecure ;; esac
    # shellcheck disable=SC2086
    ! unknown "$(docker manifest inspect $flag "$image" 2>&1 >/dev/null)" ||
        ! unknown "$(docker pull -q "$image" 2>&1 >/dev/null)" || echo "missing $image"
done
