export const HELP = `vazao: exact caching and a runtime for web applications on PostgreSQL

  vazao dev <app>       serve an application for development: embedded PostgreSQL,
                        migrations, invented data, /.vazao/explain
  vazao start <app>     serve it in production: no invented data, VAZAO_SECRET required
  vazao explain <url>   why the answer to a URL is (not) cached, what it reads,
                        and which change ended it; asks the server that runs here
  vazao explain --sql '<statement>' [app]
                        what a statement reads and how finely, what made it coarse
                        and how to write it finer, or why its answer is not kept;
                        ends with 1 if it is not
  vazao config          what is configured and where it is from: the environment, .env,
                        the machine, or the default; secrets masked
  vazao doctor [app]    check the database, with the statement that mends each finding
  vazao torture [app]   run it on this machine under faults, as hosts, workers and a
                        database that fails over, and say whether an answer was ever
                        wrong; needs PostgreSQL's server programs and redis-server.
                        No app named: the only one here that has a torture.ts
  vazao lab run <scenario|app>
                        load on a server of this machine, by a plan: what it can take,
                        with a verdict; ends with 99 if a criterion fails. docs/lab.md
  vazao lab types <file|url>
                        types of an application's requests, from its OpenAPI document
  vazao lab compare <app>
                        the application with and without workers and cache, in turns, or
                        at two revisions (--against main); a table, and who beats whom
  vazao lab plan --from <results.json> --users <n> --think <time>
                        workers, hosts, pool and memory for so many users
                        (--growth 20%/y --peak 10x); says what was not measured
  vazao lab report <results.json> …
                        results as --html, --markdown or --junit <file>; ends with 99 if
                        they are worse than those of --baseline <file>

  <app> is the name of a folder in apps/, or the path of a module.

  --sql <statement>     explain: - reads it from the standard input
  --param <value>       explain --sql: once for each of $1, $2 …, as PostgreSQL prints
                        it ({1,2} for an array), \\N for NULL; none: any values
  --search-path <list>  explain --sql: schemas, instead of the role's own
  --declare <f=reads>   explain --sql: a declared function: public.f=arguments, or
                        public.f=table,table
  --minutes <n>         torture: how long, 10 if not said
  --seed <s>            torture: repeats a schedule of writes, reads and faults
  --faults <a,b>        torture: only these; --no-faults: none
  --mutation <a,b>      torture: break these rules of the cache on purpose, which has to
                        be noticed; --mutations: each in turn
  --goals               torture: too few reads, faults, or too much staleness is a failure
  --production          config: as for vazao start, whatever NODE_ENV says
  --json                config, explain, doctor: for programs; torture: --json <file>
  --plan <name>         lab run: load, stress, spike, volume, soak or smoke
  --rate <n>, --users <n>, --think <time>, --duration <time>, --warm-up <time>
                        lab run: requests a second that come, or people who wait and
                        think; for how long (200ms, 60s, 5min, 1h)
  --criteria <list>     lab run: 'p99<=200ms,throughput>=500,hitRate>=80%'
  --target <url>        lab run: origin of the server; other machines only with
                        --target-is-mine <host>
  --serve <command>     lab run: starts the server; --pid <n>: it runs already
  --json <file>         lab run: the result, for programs
  --help, --version

Configuration comes from the environment and .env (HOST, PORT, DATABASE_URL, …); see docs/configuration.md.
`;
