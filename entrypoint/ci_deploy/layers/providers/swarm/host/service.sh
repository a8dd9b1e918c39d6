# shellcheck shell=sh
# service WORD…: run `docker service WORD…` and wait until the engine has done it.
exec docker service "$@" --quiet
