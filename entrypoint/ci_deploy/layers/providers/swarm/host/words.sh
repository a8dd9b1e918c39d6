# shellcheck shell=sh
# words TASK LINES: print a task's last lines; waits at most 10 s for its node.
timeout 10 docker service logs --raw --tail "$2" "$1" 2>&1
