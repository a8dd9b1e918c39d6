#!/bin/sh
# An ssh-agent that ends with us, however we end: when stdin closes, or with its process group.
ssh-agent -D -a "$1" >/dev/null &
cat >/dev/null
kill $!
