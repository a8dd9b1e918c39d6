#!/bin/sh
# SSH_ASKPASS for ssh-add. Answers once: with a wrong passphrase ssh-add would ask for ever.
if [ -e "$CI_DEPLOY_ASKED" ]; then exit 1; fi
: >"$CI_DEPLOY_ASKED"
printf '%s\n' "$CI_DEPLOY_ANSWER"
