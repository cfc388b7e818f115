-- Rows that the database holds of each stream and day, by the coverage ledger: no table of ticks is read.
select
    case when c.stream like 'venue\_bars\_%%' then 'venue_bars' else c.stream end as stream,
    c.day,
    sum(c.row_count) as row_count,
    count(*) as instruments
from coverage as c
where not c.is_dropped and c.row_count > 0
group by 1, 2
order by 1, 2;
