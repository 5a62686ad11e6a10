#!/bin/sh
# Installs what is needed, then checks and tests everything: ./test.sh [words for Node's test runner]
set -u
cd -- "$(dirname -- "$0")" || exit 1
./start.sh --install || exit 1
./tests/install-parts.sh || exit 1
PATH=$PWD/node_modules/.bin:$PATH
export PATH
failed=

step() {
  name=$1
  shift
  echo "== $name"
  "$@" || failed="$failed, $name"
}

# What fails is told once more, at the very end.
report_to() {
  echo --test-reporter=spec --test-reporter-destination=stdout
  echo --test-reporter=./tests/failures-reporter.ts "--test-reporter-destination=$1"
}

step types tsc -p tsconfig.json
step lint biome ci --reporter=summary .
step 'unused code' knip
step layering node --test --test-reporter=dot tests/tidy.test.ts
# Set for the tests alone: what a developer has set for a server is not theirs.
unset HOST PORT WORKERS DATABASE_URL DATABASE_REPLICA_URLS DATABASE_POOL REDIS_URL CACHE_SIZE CACHE_AUDIT LOG_LEVEL NODE_ENV
unset MEMORY_LIMIT WORKER_REQUESTS_MAX $(env | sed -n 's/^\(VAZAO_[A-Z_]*\)=.*/\1/p')
failures=$(mktemp)
step tests node tests/run.ts --test-timeout=600000 --test-concurrency=2 "$@" $(report_to "$failures.1") \
  'packages/*/src/**/*.test.ts' 'apps/*/src/**/*.test.ts' 'tests/**/*.test.ts'
# The floors that speak with PostgreSQL, once more on Debian's version: those of their tests that use the shared server.
on_database=$(cd packages/vazao/src && grep -rlE --include='*.test.ts' 'createTestDatabase|createSetting' feed db cache http)
step "tests on Debian's PostgreSQL" node tests/run.ts --postgres debian --test-timeout=600000 --test-concurrency=2 "$@" \
  $(report_to "$failures.2") \
  $(printf 'packages/vazao/src/%s ' $on_database)
if command -v valkey-server >/dev/null; then
  on_redis=$(grep -rlE --include='*.test.ts' 'testing/redis|parts/redis-server|startRedis' packages/vazao/src)
  step 'tests on Valkey' env VAZAO_TEST_REDIS=valkey-server node tests/run.ts --test-timeout=600000 --test-concurrency=2 "$@" \
    $(report_to "$failures.3") $on_redis
fi

# Last, and alone: two hosts with all their parts, under faults.
step torture node packages/vazao/src/cli/main.ts torture conectades --minutes 1
# That it can fail: the three broken rules that are noticed soonest, all without faults.
step 'torture of broken rules' node packages/vazao/src/cli/main.ts torture conectades --mutation forget-user,ignore-old-values,drop-late

cat "$failures".[123]
rm "$failures"*
if [ -n "$failed" ]; then
  echo "FAILED: ${failed#, }"
  exit 1
fi
echo 'All passed.'
