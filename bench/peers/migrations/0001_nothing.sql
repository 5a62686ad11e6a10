-- The tables are made by run.ts, for all candidates alike.
select 1;
