#!/bin/sh
# Makes the virtual environment: locked packages, this project editable, isolated launchers.
# usage: scripts/venv.sh PYTHON DIRECTORY
set -eu
python=$1 venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.13 …" >&2
  exit 1
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then # Debian ships it apart
  version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get -qq update && apt-get -qq install -y --no-install-recommends "$version" >/dev/null
  else
    echo "Python's venv module is missing. Run: sudo apt-get install $version" >&2
    exit 1
  fi
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -q "$@"; }
pip install --require-hashes -r requirements/runtime.txt
# A path file is all that an editable install of a pure package needs, and it starts faster.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$PWD/entrypoint" >"$site/ci_deploy.pth"
# -I: neither PYTHONPATH nor modules in the current directory can get in between.
for name in ci-deploy:main deploy:deploy; do
  printf '#!%s -I\nfrom ci_deploy.__main__ import %s\n\n%s()\n' \
    "$PWD/$venv/bin/python" "${name#*:}" "${name#*:}" >"$venv/bin/${name%:*}"
  chmod +x "$venv/bin/${name%:*}"
done
