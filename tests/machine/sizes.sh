#!/bin/sh
# sizes.sh IMAGE…: what a runner downloads for each image (gzip), and what fills it (unpacked).
set -eu
[ $# -gt 0 ] || { echo "usage: $0 IMAGE…" >&2 && exit 2; }

for image in "$@"; do
    bytes=$(docker save "$image" | gzip -6 | wc -c)
    printf '%s: %d.%d MB gzip\n' "$image" $((bytes / 1000000)) $((bytes / 100000 % 10))
    # As root and without a network; `du` is in the image, for it has coreutils.
    docker run --rm --network none --user 0 --entrypoint sh "$image" -c '
        echo "  MB   directories"
        du -xm --max-depth=5 /usr /opt /etc /var | sort -rn | head -n 15 | sed "s/^/  /"
        echo "  MB   files"
        find /usr /opt /etc /var -xdev -type f -size +1024k -exec du -m {} + |
            sort -rn | head -n 15 | sed "s/^/  /"'
done
