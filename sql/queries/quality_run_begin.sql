-- A run of the checks begins: it is seen even if it dies.
insert into quality_runs (kind, started_at, run_id) values (%(kind)s, clock_timestamp(), %(run_id)s)
returning quality_run_id;
