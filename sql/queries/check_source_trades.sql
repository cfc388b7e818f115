-- What the trades of a day add up to, per instrument.
select
    r.instrument,
    count(*) as trade_count,
    trim_scale(sum(r.size)) as volume,
    trim_scale(sum(r.price * r.size)) as quote_volume,
    max(r.price) as high,
    min(r.price) as low
from raw_trades as r
where
    r.event_time >= %(from_time)s and r.event_time < %(to_time)s
    and (
        r.conditions is null
        or not exists (
            select 1 from trade_conditions as c
            where c.venue = split_part(r.instrument, ':', 1) and c.condition = any(r.conditions) and not c.counts
        )
    )
group by r.instrument;
