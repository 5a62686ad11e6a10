export const HELP = `vazao: exact caching and a runtime for web applications on PostgreSQL

  vazao dev <app>       serve an application for development: embedded PostgreSQL,
                        migrations, invented data, /.vazao/explain
  vazao start <app>     serve it in production: no invented data, VAZAO_SECRET required
  vazao explain <url>   why the answer to a URL is (not) cached, what it reads,
                        and which change ended it; asks the server that runs here
  vazao doctor [app]    check the database, with the statement that mends each finding

  <app> is the name of a folder in apps/, or the path of a module.

  --json                explain, doctor: for programs
  --help, --version

Configuration comes from the environment (HOST, PORT, DATABASE_URL, …); see docs/configuration.md.
`;
