-- When the trade of an id was, on a day.
select t.event_time
from {table} as t
where
    t.instrument = %(instrument)s and t.space = %(space)s and t.sequence = %(sequence)s
    and t.event_time >= %(from_time)s and t.event_time < %(to_time)s;
