# shellcheck shell=sh
# read FOLDER STACK [alone], after variables.sh, a tar on stdin: print how Compose reads the files of a release. They
# are unpacked into a temporary directory, beside links to the files in FOLDER; of those only the .env is used directly.
# alone: for a review app, without the files in FOLDER, which are the base app's.
umask 077
cd "${1:-$HOME}" || exit 96
path=$PWD stack=$2 alone=$3
docker compose version --short 2>/dev/null | sed 's/^/compose /'
d=$(mktemp -d "${TMPDIR:-/tmp}/ci-deploy-read.XXXXXX") || exit 95
trap 'rm -rf "$d"' EXIT
trap 'exit 143' HUP INT TERM
tar -x -f - -C "$d" || exit 95
mkdir "$d/tree"
cp -R "$d/files/." "$d/tree/"
[ ! -d "$d/read" ] || cp -R "$d/read/." "$d/tree/"
for each in "$path"/* "$path"/.[!.]*; do
    [ -z "$alone" ] || break
    [ -e "$d/tree/${each##*/}" ] || ln -s "$each" "$d/tree/" 2>/dev/null
done
rm -f "$d/tree/.env"
{ [ -n "$alone" ] || [ ! -f "$path/.env" ] || { cat "$path/.env" && echo; }; cat "$d/app.env"; } >"$d/tree/.env"
cat "$d/tree/.env" "$d/tag.env" >"$d/variables"
[ -n "$alone" ] || [ ! -s "$path/.env" ] || echo "env yes"
echo "tree $d/tree"
echo "path $path"
files=$(cat "$d/list")
compose() { # the last in the list comes first
    for name in $files; do set -- -f "$d/tree/$name" "$@"; done
    env -i PATH="$PATH" HOME="$HOME" docker compose -p "$stack" --project-directory "$d/tree" \
        --env-file "$d/variables" "$@"
}
lacking() { for name in $files; do cat "$d/files/$name"; done | unset_variables "$d/errors" "$d/variables"; }
compose --profile '*' config --no-interpolate --format json >"$d/raw" 2>/dev/null &
compose config --format json >"$d/model" 2>"$d/errors" || {
    sed "/level=warning/d; s|$d/tree/||g; s/^/refused /" "$d/errors" | tail -n 5
    lacking
    wait
    exit 0
}
wait
lacking
# the values that configs and secrets take from files that only this host has
sed -n 's/^ *"file": "\(\/[^"]*\)",*$/\1/p' "$d/model" | sort -u | while IFS= read -r file; do
    [ -n "$alone" ] || [ ! -f "$file" ] || { printf 'file %s ' "$file" && base64 "$file" | tr -d '\n' && echo; }
done
[ -s "$d/raw" ] || compose --profile '*' config --format json >"$d/all" 2>/dev/null
echo model && cat "$d/model" && echo
if [ -s "$d/raw" ]; then echo raw && cat "$d/raw"; else echo all && cat "$d/all"; fi
