-- Rows of a day that came long after the row before them, by each instrument's own measure, in one pass.
select
    s.instrument,
    s.time_before,
    s.event_time
from (
    select
        t.instrument,
        t.event_time,
        lag(t.event_time) over (partition by t.instrument order by t.event_time) as time_before
    from {table} as t
    where t.instrument = any(%(instruments)s) and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
) as s
inner join unnest(%(instruments)s::text[], %(leasts)s::interval[]) as n (instrument, least) on s.instrument = n.instrument
where s.event_time - s.time_before > n.least
order by s.instrument, s.event_time;
