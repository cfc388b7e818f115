-- The stretches in which nothing is missing that is not accepted, of some instruments and the streams that features are made from, over
-- some days, put together where one day's end is the next one's beginning.
with spans as (
    select
        c.instrument,
        c.stream,
        unnest(range_agg(c.covered + c.accepted)) as span
    from coverage as c
    left join bar_sources as s on c.instrument = s.instrument
    where
        c.instrument = any(%(instruments)s) and c.day between %(first_day)s and %(last_day)s
        and c.stream in (coalesce(s.stream, 'trades'), 'quotes')
    group by c.instrument, c.stream
)

select
    p.instrument,
    p.stream = 'quotes' as is_quotes,
    lower(p.span) as from_time,
    upper(p.span) as to_time
from spans as p
order by p.instrument, is_quotes, from_time;
