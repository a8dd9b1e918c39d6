# shellcheck shell=sh
# look FOLDER STACK [WORD]: print the state of a stack, one fact a line: `kind JSON`, or words separated
# by tabs; with WORD only its services and tasks.
folder=$1 stack=$2 brief=$3
if [ -z "$brief" ]; then
    docker info --format 'version {{.ServerVersion}}
swarm {{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.Managers}}' 2>&1 || exit 90
    echo "now $(date +%s)"
    docker --version | sed 's/^[^0-9]*/client /'
    docker node ls --format 'node {{.ID}} {{.Hostname}} {{.Status}}' 2>/dev/null || exit 0
    command -v flock >/dev/null || echo missing flock
fi
each=$(docker service ls -q --filter "label=com.docker.stack.namespace=$stack")
# shellcheck disable=SC2086
if [ -n "$each" ]; then
    docker service inspect --format 'service {{json .}}' $each 2>/dev/null
    docker service ps -q --no-trunc $each 2>/dev/null | sort -u |
        xargs -r docker inspect --type task --format 'task {"ID":{{json .ID}},"ServiceID":{{json .ServiceID}},"Slot":{{json .Slot}},"NodeID":{{json .NodeID}},"DesiredState":{{json .DesiredState}},"Status":{{json .Status}},"Spec":{{json .Spec}},"CreatedAt":{{json .CreatedAt}}}' 2>/dev/null
fi
[ -z "$brief" ] || exit 0
labels=
for key in stack kind release revision tag at run action outcome pipeline actor uses images note client review branch app; do
    labels="$labels\t{{.Label \"com.ci-deploy.$key\"}}"
done
format=$(printf '{{.Name}}%b' "$labels")
configs=$(docker config ls --format "config	$format")
of=com.ci-deploy.stack=$stack
case $configs in *"	review	"*) of=com.ci-deploy.stack ;; esac # how old review apps are
docker config ls -q --filter "label=$of" | xargs -r docker config inspect \
    --format 'index {{.Version.Index}} {{.CreatedAt.Unix}} {{.Spec.Name}}' 2>/dev/null
[ -z "$configs" ] || printf '%s\n' "$configs"
docker secret ls --format "secret	$format"
docker network ls --filter scope=swarm --format 'network {{.Name}} {{.Label "com.docker.stack.namespace"}}'
cd "${folder:-$HOME}" 2>/dev/null || { echo nofolder; exit 0; }
lock=.ci-deploy/$stack.lock
[ ! -e "$lock" ] || flock -n "$lock" true || echo "holder $(cat "$lock.by" 2>/dev/null)"
