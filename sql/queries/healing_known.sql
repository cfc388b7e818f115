-- What is held of some ids of an instrument, to hold against what a file says of them.
select
    t.sequence,
    t.price,
    t.size
from raw_trades as t
where
    %(stream)s = 'trades' and t.instrument = %(instrument)s and t.sequence = any(%(ids)s)
    and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
union all
select
    a.sequence,
    a.price,
    a.size
from raw_agg_trades as a
where
    %(stream)s = 'agg_trades' and a.instrument = %(instrument)s and a.sequence = any(%(ids)s)
    and a.event_time >= %(from_time)s and a.event_time < %(to_time)s;
