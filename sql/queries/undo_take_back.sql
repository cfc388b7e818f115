-- Ends every row that stands by the word of a batch, and keeps what was believed. Answers where rows went, in windows of at most a
-- quarter of an hour, with their number.
with taken as (
    delete from {table} as t
    where t.batch_id = %(undone)s and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    returning t.*
),

kept as (
    insert into {revisions} ({columns}, known_at, batch_id, kind, believed_until, ended_by_batch_id, reason)
    select
        {columns},
        known_at,
        batch_id,
        'undo',
        %(known_at)s,
        %(batch_id)s,
        %(reason)s
    from taken
)

select
    t.instrument,
    min(t.event_time) as from_time,
    max(t.event_time) + interval '1 microsecond' as to_time,
    count(*) as taken_back
from taken as t
group by t.instrument, date_bin('15 minutes', t.event_time, timestamptz '2000-01-01 00:00:00+00')
order by t.instrument, from_time;
