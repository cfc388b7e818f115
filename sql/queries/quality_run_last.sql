-- When the last run of the checks that ended well began.
select max(r.started_at) from quality_runs as r where r.finished_at is not null and r.errors = '{}';
