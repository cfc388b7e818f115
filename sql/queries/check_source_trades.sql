-- What the ticks of a day add up to that bars are made from, per instrument: trades, or aggregated trades where these are declared.
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
    and r.instrument <> all(array(select s.instrument from bar_sources as s where s.stream <> 'trades'))
    and (
        r.conditions is null
        or not exists (
            select 1 from trade_conditions as c
            where c.venue = split_part(r.instrument, ':', 1) and c.condition = any(r.conditions) and not c.counts
        )
    )
group by r.instrument
union all
select
    r.instrument,
    sum(r.last_trade_id - r.first_trade_id + 1) as trade_count,
    trim_scale(sum(r.size)) as volume,
    trim_scale(sum(r.price * r.size)) as quote_volume,
    max(r.price) as high,
    min(r.price) as low
from raw_agg_trades as r
where
    r.event_time >= %(from_time)s and r.event_time < %(to_time)s
    and r.instrument = any(array(select s.instrument from bar_sources as s where s.stream = 'agg_trades'))
    and (
        r.conditions is null
        or not exists (
            select 1 from trade_conditions as c
            where c.venue = split_part(r.instrument, ':', 1) and c.condition = any(r.conditions) and not c.counts
        )
    )
group by r.instrument;
