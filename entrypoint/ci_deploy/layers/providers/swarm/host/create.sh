# shellcheck shell=sh
# create KIND NAME LABEL|OPTION…: create a config or secret from stdin, unless it exists.
kind=$1 name=$2
shift 2
for label in "$@"; do
    case $label in --*) set -- "$@" "$label" ;; *) set -- "$@" --label "$label" ;; esac
    shift
done
said=$(docker "$kind" create "$@" "$name" - 2>&1) && exit 0
case $said in *AlreadyExists* | *'already exists'*) exit 0 ;; esac
echo "$said"
exit 1
