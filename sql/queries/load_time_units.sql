-- In which units the sources of what is stored of an instrument in a window told their times.
select distinct b.time_unit
from {table} as t
inner join ingest_batches as b on t.batch_id = b.batch_id
where t.instrument = %(instrument)s and t.event_time >= %(from_time)s and t.event_time < %(to_time)s;
