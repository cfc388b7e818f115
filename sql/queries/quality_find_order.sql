-- Instruments of which times step back along the ids of one stream: rows that do, the longest step in seconds, and where they are. Rows
-- without ids stand in the order of time: there is nothing to see. The key alone is read.
with along as (
    select
        t.instrument,
        t.event_time,
        lag(t.event_time) over (partition by t.instrument, t.space order by t.sequence) as time_before
    from {table} as t
    where
        t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.space <> 'ordinal'
        and (%(instruments)s::text[] is null or t.instrument = any(%(instruments)s))
)

select
    a.instrument,
    min(a.event_time) as from_time,
    max(a.time_before) as last_time,
    count(*) as broken,
    extract(epoch from max(a.time_before - a.event_time))::double precision as longest_step_seconds
from along as a
where a.event_time < a.time_before
group by a.instrument
order by a.instrument;
