-- How many rows of a day each instrument and space has, how many ids, and whether time never steps back along them: the index has all
-- of it in the order of the ids. Where rows are too many to be held twice in memory, the order is left to a slower look.
select
    t.instrument,
    t.space,
    count(*) as found,
    count(distinct t.sequence) as ids,
    array_agg(t.event_time order by t.sequence) filter (where %(is_ordered)s)
    = array_agg(t.event_time order by t.event_time) filter (where %(is_ordered)s) as is_in_order
from {table} as t
where t.event_time >= %(from_time)s and t.event_time < %(to_time)s
group by t.instrument, t.space;
