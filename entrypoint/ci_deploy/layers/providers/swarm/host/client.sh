# shellcheck shell=sh
# client, after ask.sh, with a URL as the first line of stdin: send requests until stdin ends (with the job), then
# print what a client saw.
# shellcheck disable=SC2034
umask 077
clean() { "$@"; }
asker=
d=$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-client.XXXXXX") || exit 95
trap 'kill $asker 2>/dev/null; rm -rf "$d"' EXIT
trap 'exit 143' HUP INT TERM
IFS= read -r url
nobody_is_answered && exit
printf '%s\n' "$url" | ask_for_ever $$ >"$d/client" 2>/dev/null &
asker=$!
echo asking
cat >/dev/null
read -r moment _ </proc/uptime
kill "$asker" && wait "$asker" 2>/dev/null
asker=
as_seen "$d/client" "$moment"
