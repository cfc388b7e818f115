-- What is held of a stream's day, and which of the instruments expected that day are not: in trades or aggregated trades those whose
-- bars are made from them, and all of them in venue bars. No stream of quotes or depth is expected of anybody.
select
    coalesce(sum(c.row_count), 0)::bigint as row_count,
    count(distinct c.instrument) as instruments,
    (
        select coalesce(array_agg(i.instrument order by i.instrument), '{}')
        from instruments as i
        where
            i.valid_to is null and i.listed_on <= %(day)s and (i.delisted_on is null or i.delisted_on > %(day)s)
            and (i.bars_stream = %(stream)s or %(stream)s = 'venue_bars')
            and not exists (
                select 1 from coverage as e where e.instrument = i.instrument and e.stream like %(stream)s || '%%' and e.day = %(day)s
            )
    ) as missing
from coverage as c
where c.stream like %(stream)s || '%%' and c.day = %(day)s;
