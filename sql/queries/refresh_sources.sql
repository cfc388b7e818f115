-- The instruments of a day whose bars are made from what is held of it (trades, where nothing else is declared), with the stream,
-- its identity space, and whether it was dropped.
select
    c.instrument,
    c.stream,
    c.space,
    c.is_dropped
from coverage as c
left join bar_sources as s on c.instrument = s.instrument
where
    c.day = %(day)s and c.stream = coalesce(s.stream, 'trades')
    and (%(instruments)s::text[] is null or c.instrument = any(%(instruments)s))
order by c.instrument;
