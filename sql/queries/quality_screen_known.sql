-- The instruments of a day that are looked at whole, whatever changed: of which something is open that may be over or go on, and those with
-- so few rows that a look costs nothing.
select f.instrument
from findings as f
where
    f.state = 'open' and f.day = %(day)s and f.rule = any(%(rules)s) and f.relation = any(%(relations)s)
    and f.instrument = any(%(instruments)s)
union
select a.instrument
from anomalies as a
where
    a.rule = 'return_z' and a.relation = any(%(relations)s) and a.instrument = any(%(instruments)s)
    and a.from_time >= %(from_time)s and a.from_time < %(to_time)s
union
select n.instrument
from unnest(%(instruments)s::text[]) as n (instrument)
left join coverage as c
    on n.instrument = c.instrument and c.day = %(day)s and c.stream in ('trades', 'agg_trades', 'quotes')
group by n.instrument
having coalesce(sum(c.row_count), 0) <= %(few)s
order by instrument;
