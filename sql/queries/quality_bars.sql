-- The 1-minute bars of a day of some instruments and so many before it as the longest window needs, as numbers for statistics: the prices,
-- the volume, and the smallest step of the price that any of them shows.
with of_day as (
    select b.instrument, b.bar_start, b.high, b.low, b.close, b.volume
    from bars_1m as b
    where
        b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
        and (%(instruments)s::text[] is null or b.instrument = any(%(instruments)s))
),

before as (
    select w.*
    from (select distinct d.instrument from of_day as d) as named
    cross join
        lateral (
            select b.instrument, b.bar_start, b.high, b.low, b.close, b.volume
            from bars_1m as b
            where b.instrument = named.instrument and b.bar_start < %(from_time)s and b.bar_start >= %(since)s
            order by b.bar_start desc
            limit %(most)s
        ) as w
)

select
    a.instrument,
    (extract(epoch from a.bar_start) / 60)::bigint as minute,
    a.high::double precision as high,
    a.low::double precision as low,
    a.close::double precision as close,
    a.volume::double precision as volume,
    scale(trim_scale(a.close)) as decimals
from (
    select * from before
    union all
    select * from of_day
) as a
order by a.instrument, minute;
