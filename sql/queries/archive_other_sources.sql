-- An instrument with trades on a day whose bars are made of something else; no row where there is none.
select c.instrument
from coverage as c
inner join bar_sources as s on c.instrument = s.instrument
where c.day = %(day)s and c.stream in ('trades', 'agg_trades') and s.stream <> 'trades'
order by c.instrument
limit 1;
