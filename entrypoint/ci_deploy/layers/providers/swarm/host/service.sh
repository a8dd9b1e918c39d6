# shellcheck shell=sh
# service WORD…: a command for a service, waited for.
exec docker service "$@" --quiet
