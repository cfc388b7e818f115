-- The last run of the checks of each kind that ended, with what broke down in it.
select distinct on (r.kind)
    r.kind,
    r.finished_at,
    r.errors,
    r.run_id
from quality_runs as r
where r.finished_at is not null
order by r.kind asc, r.finished_at desc;
