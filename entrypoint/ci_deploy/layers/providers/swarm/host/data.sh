# shellcheck shell=sh
# data NAME: print the content of a config of ours, as base64 in a JSON string.
docker config inspect --format '{{json .Spec.Data}}' "$1"
