-- How often a day's time steps back along the ids, by instrument and space, and the first time that it does.
select
    o.instrument,
    o.space,
    count(*) as steps_back,
    (array_agg(format('%%s %%s', o.instrument, o.sequence) order by o.sequence))[1] as example
from (
    select
        t.instrument,
        t.space,
        t.sequence,
        t.event_time < lag(t.event_time) over (partition by t.instrument, t.space order by t.sequence, t.event_time) as is_before
    from {table} as t
    where t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.instrument = any(%(instruments)s)
) as o
where o.is_before
group by o.instrument, o.space;
