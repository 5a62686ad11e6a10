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
  vazao doctor [app]    check the database, with the statement that mends each finding
  vazao torture <app>   run it on this machine under faults, as hosts, workers and a
                        database that fails over, and say whether an answer was ever
                        wrong; needs PostgreSQL's server programs and redis-server

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
  --mutation <name>     torture: break this rule of the cache on purpose, which has to
                        be noticed; --mutations: each in turn
  --json                explain, doctor: for programs; torture: --json <file>
  --help, --version

Configuration comes from the environment (HOST, PORT, DATABASE_URL, …); see docs/configuration.md.
`;
