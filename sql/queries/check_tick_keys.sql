-- How many rows of a part of a day each instrument and space has, how many ids, and whether time never steps back along them: the index
-- has all of it in the order of the ids. Where rows are too many to be held twice in memory, the order is left to a slower look.
select
    {number} as part,
    k.instrument,
    k.space,
    k.found,
    k.ids,
    k.along_ids = k.along_time as is_in_order,
    k.along_time[1] as first_time,
    k.along_time[k.found::int] as last_time
from (
    select
        t.instrument,
        t.space,
        count(*) as found,
        count(distinct t.sequence) as ids,
        array_agg(t.event_time order by t.sequence) filter (where %(is_ordered)s) as along_ids,
        array_agg(t.event_time order by t.event_time) filter (where %(is_ordered)s) as along_time
    from {table} as t
    where t.event_time >= %(from_time)s and t.event_time < %(to_time)s and {chosen}
    group by t.instrument, t.space
) as k;
