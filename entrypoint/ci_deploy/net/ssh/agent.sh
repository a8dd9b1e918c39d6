#!/bin/sh
# An ssh-agent that ends with us, however we end: when stdin closes, or with its process group.
# When it closes nobody else removes our private directory: we were killed. Not so when `cat` was
# killed (by GitLab's cancel): we live, and need it.
# The kernel sends TERM to this shell alone when we are killed: it has to outlive that for the rest.
trap : TERM
ssh-agent -D -a "$1" >/dev/null &
agent=$!
cat >/dev/null && gone=yes
kill "$agent"
if [ -n "${gone-}" ]; then
  left=30
  while # what was killed with us may still write
    rm -rf "$2"
    sleep 1
    [ -e "$2" ] && [ $((left -= 1)) -gt 0 ]
  do :; done
fi
