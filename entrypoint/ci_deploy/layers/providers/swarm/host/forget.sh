# shellcheck shell=sh
# forget FOLDER STACK MARK: remove the stack's configs and secrets; the mark last, so that the next run can
# finish a killed one.
ours() {
    for by in com.ci-deploy.stack com.docker.stack.namespace; do
        docker "$1" ls --filter "label=$by=$2" --format '{{.Name}}' || echo "(Docker does not answer)"
    done | sort -u | grep -vxF -- "$3"
}
for kind in secret config; do
    ours "$kind" "$2" "$3" | while read -r each; do docker "$kind" rm "$each" >/dev/null; done
done
left=$(for kind in secret config; do ours "$kind" "$2" "$3" | sed "s/^/$kind /"; done)
[ -z "$left" ] || { echo "still there: $left" | tr '\n' ' '; exit 1; }
docker config rm "$3" >/dev/null 2>&1
! docker config inspect "$3" >/dev/null 2>&1 || { echo "still there: config $3"; exit 1; }
cd "${1:-$HOME}" && rm -f ".ci-deploy/$2.apply" ".ci-deploy/$2.lock" ".ci-deploy/$2.lock.by"
