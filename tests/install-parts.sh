#!/bin/sh
# Installs the programs that the tests start beside the npm packages: Debian's PostgreSQL, Redis, Valkey and Nginx, and three
# generators of load, of which two are small (2 MB) and Locust, with its parts in Python, takes 34 MB. Nothing is done when all are
# there.
# Only programs are wanted, so no service is started and no database cluster is made.
set -eu

fail() {
  echo "install-parts.sh: $1" >&2
  exit 1
}

missing() {
  if [ -n "${VAZAO_TEST_PG_BIN:-}" ]; then
    [ -x "$VAZAO_TEST_PG_BIN/postgres" ] || fail "VAZAO_TEST_PG_BIN is $VAZAO_TEST_PG_BIN, and there is no postgres in it. Name the folder of PostgreSQL's server programs, or unset it."
  else
    set -- /usr/lib/postgresql/*/bin/postgres
    [ -x "$1" ] || printf 'postgresql '
  fi
  command -v redis-server >/dev/null && command -v redis-cli >/dev/null || printf 'redis-server '
  # Where Debian has it is in the path of root alone.
  command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || printf 'nginx-light '
}

# Without these, tests that compare with them are skipped, and say so.
wished() {
  command -v wrk >/dev/null || printf 'wrk '
  command -v h2load >/dev/null || printf 'nghttp2-client '
  command -v locust >/dev/null || printf 'python3-locust '
}

# Debian 12 has it among its backports only.
has_valkey() { command -v valkey-server >/dev/null; }

needed=$(missing)
wanted=$needed$(wished)
[ -n "$wanted" ] || has_valkey || wanted=' '
[ -n "$wanted" ] || exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  [ -n "$needed" ] || exit 0
  fail "the tests need what is missing here: $needed(names of Debian's packages). Install it; PostgreSQL's programs may be anywhere when VAZAO_TEST_PG_BIN names their folder. On Debian, as root, this script does it."
fi

policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
aside=$(mktemp -d)
restore() {
  trap - EXIT
  for file in "$policy" "$clusters"; do
    kept=$aside/$(basename "$file")
    [ ! -e "$kept.new" ] || rm -f "$file"
    [ ! -e "$kept" ] || cp -p "$kept" "$file"
  done
  rm -rf "$aside"
}
trap restore EXIT
trap 'restore; exit 130' HUP INT TERM

install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" >"$aside/log" 2>&1 ||
    { cat "$aside/log" >&2 && fail "apt-get could not install $*; its words are above. Mend that, and start again."; }
}

install_valkey() {
  if apt-cache show valkey-server >/dev/null 2>&1; then
    install valkey-server
    return
  fi
  name=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Codename: $name" | head -n 1)
  cat /etc/apt/sources.list >"$aside/sources.list" 2>/dev/null || :
  echo "deb $mirror $name-backports main" >>"$aside/sources.list"
  set -- -o "Dir::Etc::sourcelist=$aside/sources.list"
  apt-get "$@" update -qq >"$aside/log" 2>&1 &&
    DEBIAN_FRONTEND=noninteractive apt-get "$@" install -qq --no-install-recommends -o DPkg::Lock::Timeout=120 \
      "valkey-server/$name-backports" "valkey-tools/$name-backports" >"$aside/log" 2>&1 ||
    echo "install-parts.sh: there is no Valkey for $name here; the tests that want it are skipped." >&2
}

echo "Installing $wanted$(has_valkey || echo valkey-server) (once) …" >&2
apt-get update -qq >"$aside/log" 2>&1 ||
  { cat "$aside/log" >&2 && fail 'apt-get update failed; its words are above. Check the connection to the mirror, and start again.'; }

# 101 is the answer "forbidden": services that come with a package are not started.
if [ ! -x "$policy" ] || "$policy" redis-server start >/dev/null 2>&1 || [ $? != 101 ]; then
  if [ -e "$policy" ]; then cp -p "$policy" "$aside"; else touch "$aside/policy-rc.d.new"; fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

case $wanted in
  *postgresql*)
    # This package reads the file, and brings it along: so it comes first.
    install postgresql-common
    cp -p "$clusters" "$aside"
    echo 'create_main_cluster = false' >>"$clusters"
    ;;
esac
# One word is one package.
[ -z "${wanted# }" ] || install $wanted
has_valkey || install_valkey
case $wanted in
  # Nor shall it start with the machine.
  *redis-server*) [ ! -d /run/systemd/system ] || systemctl --quiet disable redis-server ;;
esac
case $wanted in
  *nginx*) [ ! -d /run/systemd/system ] || systemctl --quiet disable nginx ;;
esac
! has_valkey || [ ! -d /run/systemd/system ] || systemctl --quiet disable valkey-server

left=$(missing)
[ -z "$left" ] || fail "apt-get installed $wanted, and yet this is missing: $left. Install it by hand, and start again."
