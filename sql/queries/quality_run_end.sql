-- A run of the checks ended.
update quality_runs
set
    finished_at = clock_timestamp(),
    days = %(days)s,
    checks = %(checks)s,
    broken = %(broken)s,
    errors = %(errors)s
where quality_run_id = %(quality_run_id)s;
