-- How many bars of a venue are stored of one instrument and interval inside a window, and from when to when.
select
    count(*) as row_count,
    min(v.bar_start) as first_start,
    max(v.bar_start) as last_start
from venue_bars as v
where
    v.instrument = %(instrument)s and v.interval = %(interval)s
    and v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s;
