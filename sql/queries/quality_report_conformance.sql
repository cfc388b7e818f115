-- The verdicts on the bars of a window, by venue and length.
select
    split_part(c.instrument, ':', 1) as venue,
    c.interval,
    count(*) filter (where c.status = 'equal') as equal,
    count(*) filter (where c.status = 'explained') as explained,
    count(*) filter (where c.status = 'uncovered') as uncovered,
    count(*) filter (where c.status = 'unexplained') as unexplained
from bar_conformance as c
where
    c.bar_start >= %(since)s and c.bar_start < %(until)s
    and (%(instruments)s::text[] is null or c.instrument = any(%(instruments)s))
group by venue, c.interval
order by venue, array_position(array['1m', '5m', '1h', '1d'], c.interval);
