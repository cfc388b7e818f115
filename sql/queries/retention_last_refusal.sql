-- Why a partition was refused when it was refused last, if nothing was done with it since.
select case when l.action = 'refuse' then l.reasons end as reasons
from retention_log as l
where l.relation = %(relation)s and l.partition_start = %(partition_start)s and not l.is_dry_run
order by l.entry_id desc
limit 1;
