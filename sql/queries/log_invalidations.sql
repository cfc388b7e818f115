-- Appends windows of change: relation, reason, batch, and one array per column of the windows.
insert into invalidation_log (relation, reason, batch_id, instrument, day, from_time, to_time, logged_at)
select
    head.relation, head.reason, head.batch_id,
    changed.instrument, changed.day, changed.from_time, changed.to_time, clock_timestamp()
from (values (%(relation)s::text, %(reason)s::text, %(batch_id)s::bigint)) as head (relation, reason, batch_id)
cross join
    unnest(%(instruments)s::text[], %(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        as changed (instrument, day, from_time, to_time);
