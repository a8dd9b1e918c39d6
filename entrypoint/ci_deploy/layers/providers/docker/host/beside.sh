# shellcheck shell=sh
# What a review app must not share with the other containers of this host.

# others: print each container with its Compose project or its stack, then the names that must be unique in a
# proxy, of all containers.
others() {
    docker ps -a --no-trunc --format \
        '{{.Names}}|{{or (.Label "com.docker.compose.project") (.Label "com.docker.stack.namespace")}}|{{.Image}}|{{.Networks}}|{{.Ports}}|{{.Mounts}}' |
        sed 's/^/other /'
    docker ps -a --no-trunc --format '{{or (.Label "com.docker.compose.project") (.Label "com.docker.stack.namespace")}}|{{.Labels}}' | awk '{
        at = index($0, "|"); project = substr($0, 1, at - 1); rest = "," substr($0, at + 1)
        while (match(rest, /,(traefik\.[a-z]+\.(routers|services)\.[^.=,]+|caddy(_[0-9]+)?=[^,]*)/)) {
            print "route " project "|" substr(rest, RSTART + 1, RLENGTH - 1)
            rest = substr(rest, RSTART + RLENGTH)
        }
    }' | sort -u
}
