-- Rows of a day that came long after the row before them, in one pass. Rows are counted into bins as wide as that is long: within one no
-- spacing is longer, so that only its first and last rows matter, and nothing has to be put in order.
with bins as (
    select
        t.instrument,
        min(t.event_time) as first_time,
        max(t.event_time) as last_time
    from {table} as t
    where t.instrument = any(%(instruments)s) and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    group by t.instrument, date_bin(%(least)s::interval, t.event_time, timestamptz '2000-01-01 00:00:00+00')
),

spacings as (
    select
        b.instrument,
        b.first_time,
        lag(b.last_time) over (partition by b.instrument order by b.first_time) as time_before
    from bins as b
)

select
    s.instrument,
    s.time_before,
    s.first_time
from spacings as s
where s.first_time - s.time_before > %(least)s::interval
order by s.instrument, s.first_time;
