# shellcheck shell=sh
# words TASK LINES: the last that a task has written; a node that does not answer is not waited for.
timeout 10 docker service logs --raw --tail "$2" "$1" 2>&1
