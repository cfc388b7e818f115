-- Trades farther outside every quote of their ten seconds, and of the last ten seconds before them that had any, than is allowed: the
-- quote that stood then is among these, and a recorder's clock that is a little off does no harm. A quote older than a minute is not
-- asked. Stretches less than a minute apart are one.
with quotes as (
    select
        b.instrument,
        slot.bucket,
        case
            when slot.bucket = b.bucket and b.bucket_before >= b.bucket - interval '1 minute' then least(b.low, b.low_before) else b.low
        end as bid,
        case
            when slot.bucket = b.bucket and b.bucket_before >= b.bucket - interval '1 minute' then greatest(b.high, b.high_before) else
                b.high
        end as ask
    from quality_tick_buckets as b
    -- It stands until the next one, and not for longer than a minute.
    cross join
        lateral generate_series(
            b.bucket, least(b.bucket_after - interval '10 seconds', b.bucket + interval '1 minute'), interval '10 seconds'
        ) as slot (bucket)
    where b.relation = 'raw_quotes' and b.low is not null and b.high is not null
),

enveloped as (
    select
        t.relation,
        t.instrument,
        t.bucket,
        t.low,
        t.high,
        q.bid,
        q.ask
    from quality_tick_buckets as t
    inner join quotes as q on t.instrument = q.instrument and t.bucket = q.bucket
    where t.relation <> 'raw_quotes'
),

outside as (
    select
        e.*,
        e.bid * (1 - h.outside_quote_bps / 10000) as least_price,
        e.ask * (1 + h.outside_quote_bps / 10000) as greatest_price
    from enveloped as e
    inner join quality_thresholds as h on e.instrument = h.instrument
    where e.low < e.bid * (1 - h.outside_quote_bps / 10000) or e.high > e.ask * (1 + h.outside_quote_bps / 10000)
),

trades as (
    select
        o.relation,
        o.instrument,
        t.event_time,
        t.price::double precision as price,
        o.bid,
        o.ask
    from outside as o
    inner join raw_trades as t
        on o.instrument = t.instrument and o.bucket = date_bin('10 seconds', t.event_time, timestamptz '2000-01-01 00:00:00+00')
    where
        o.relation = 'raw_trades' and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
        and t.price::double precision not between o.least_price and o.greatest_price
    union all
    select
        o.relation,
        o.instrument,
        a.event_time,
        a.price::double precision,
        o.bid,
        o.ask
    from outside as o
    inner join raw_agg_trades as a
        on o.instrument = a.instrument and o.bucket = date_bin('10 seconds', a.event_time, timestamptz '2000-01-01 00:00:00+00')
    where
        o.relation = 'raw_agg_trades' and a.event_time >= %(from_time)s and a.event_time < %(to_time)s
        and a.price::double precision not between o.least_price and o.greatest_price
),

begun as (
    select
        t.*,
        (t.event_time - lag(t.event_time) over stretch > interval '1 minute') is not false as begins
    from trades as t
    window stretch as (partition by t.relation, t.instrument order by t.event_time)
),

numbered as (
    select
        b.*,
        count(*) filter (where b.begins) over (partition by b.relation, b.instrument order by b.event_time) as stretch
    from begun as b
)

select
    n.relation,
    n.instrument,
    min(n.event_time) as from_time,
    max(n.event_time) as last_time,
    count(*) as broken,
    max(greatest(n.bid - n.price, n.price - n.ask) / ((n.bid + n.ask) / 2) * 10000) as worst_bps,
    (array_agg(format('%%s against %%s and %%s at %%s', n.price, n.bid, n.ask, n.event_time) order by n.event_time))[1:3] as examples
from numbered as n
group by n.relation, n.instrument, n.stretch
order by n.relation, n.instrument, from_time;
