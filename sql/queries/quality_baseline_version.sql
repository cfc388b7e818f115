-- Enters a version of the baselines as the current one.
with before as (
    update baseline_versions set is_current = false where is_current
    returning version
)

insert into baseline_versions (learned_at, from_day, until_day, code_version, mark, is_current, run_id)
select
    clock_timestamp(),
    %(from_day)s,
    %(until_day)s,
    %(code_version)s,
    %(mark)s,
    false,
    %(run_id)s
from (select count(*) from before) as done
returning version;
