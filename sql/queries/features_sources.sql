-- The instruments of a day of which there is something that features are made from: with the ticks that their bars are made of, the
-- identity space of these, and whether these and the quotes were dropped from the database.
select
    c.instrument,
    'raw_' || coalesce(s.stream, 'trades') as relation,
    max(c.space) filter (where c.stream = coalesce(s.stream, 'trades')) as space,
    bool_or(c.is_dropped and c.stream = coalesce(s.stream, 'trades')) as is_dropped,
    bool_or(c.stream = 'quotes') as has_quotes,
    bool_or(c.is_dropped and c.stream = 'quotes') as are_quotes_dropped
from coverage as c
left join bar_sources as s on c.instrument = s.instrument
where
    c.day = %(day)s and c.stream in (coalesce(s.stream, 'trades'), 'quotes')
    and (%(instruments)s::text[] is null or c.instrument = any(%(instruments)s))
group by c.instrument, s.stream
order by c.instrument;
