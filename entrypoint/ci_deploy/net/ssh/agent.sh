#!/bin/sh
# An ssh-agent that ends with us, however we end: with its process group, or when stdin closes. It is
# our own child, so that we can end it when the rest of this is gone: the kernel kills any program of a
# job that has no memory left.
# When stdin closes nobody else removes our private directory: we were killed. Not so when `cat` was
# killed (by GitLab's cancel): we live, and need it.
exec 3<&0 # what runs beside us has no stdin of its own
(
  trap : TERM
  cat >/dev/null && gone=yes
  kill $$
  if [ -n "${gone-}" ]; then
    left=30
    while # what was killed with us may still write
      rm -rf "$2"
      sleep 1
      [ -e "$2" ] && [ $((left -= 1)) -gt 0 ]
    do :; done
  fi
) <&3 3<&- &
exec ssh-agent -D -a "$1" </dev/null >/dev/null 3<&-
