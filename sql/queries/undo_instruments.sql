-- The instruments of which a batch brought, replaced or ended rows on its day, or covered some of it.
select t.instrument
from {table} as t
where t.batch_id = %(undone)s and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
union distinct
select r.instrument
from {revisions} as r
where r.batch_id = %(undone)s or r.ended_by_batch_id = %(undone)s
union distinct
select l.instrument
from invalidation_log as l
where l.batch_id = %(undone)s and l.relation = %(relation)s and l.day = %(from_time)s::date
order by instrument;
