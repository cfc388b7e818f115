-- Asks for a file's days to be taken in, for the first time or again.
insert into landing_days (file_id, day, rows_read, is_pending, requested_at)
select
    %(file_id)s,
    asked.day,
    asked.rows_read,
    true,
    clock_timestamp()
from unnest(%(days)s::date[], %(rows)s::bigint[]) as asked (day, rows_read)
on conflict (file_id, day) do update
    set is_pending = true, requested_at = excluded.requested_at, refused = null;
