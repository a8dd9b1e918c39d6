# shellcheck shell=sh
# data NAME: what a config of ours holds, as base64.
docker config inspect --format '{{json .Spec.Data}}' "$1"
