#!/bin/sh
# The Debian packages that the slow tests use: a browser, and a font for it.
# Without root, or elsewhere than on Debian, it says what is missing; the tests that need it are skipped.
set -eu
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
    echo "chromium is not installed: the tests of pages will be skipped" >&2
fi
