#!/bin/sh
# An ssh-agent that ends with us, however we end: when stdin closes, or with its process group.
# The kernel sends TERM to this shell alone when we are killed: it has to outlive that for the `kill`.
trap : TERM
ssh-agent -D -a "$1" >/dev/null &
cat >/dev/null
kill $!
