-- The rules of a day of our bars of one interval, held against what they are made from: trades or shorter bars of the same day.
with of_day as (
    select b.* from {bars} as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
),

totals as (
    select
        b.instrument,
        sum(b.trade_count) as trade_count,
        trim_scale(sum(b.volume)) as volume,
        trim_scale(sum(b.quote_volume)) as quote_volume,
        max(b.high) as high,
        min(b.low) as low
    from of_day as b
    group by b.instrument
),

source as (
    select made_from.* from {source} as made_from
),

-- Bars of a day that is held of the other stream alone stand as they were made from it, and so do those of which the ticks were dropped.
kept as (
    select c.instrument
    from coverage as c
    left join bar_sources as d on c.instrument = d.instrument
    where %(grid)s::interval = interval '1 minute' and c.day = %(day)s and c.stream in ('trades', 'agg_trades')
    group by c.instrument
    having not bool_or(c.stream = coalesce(d.stream, 'trades') and not c.is_dropped)
),

compared as (
    select coalesce(t.instrument, s.instrument) as instrument
    from totals as t
    full outer join source as s on t.instrument = s.instrument
    where
        (t.trade_count, t.volume, t.quote_volume, t.high, t.low) is distinct from (s.trade_count, s.volume, s.quote_volume, s.high, s.low)
        and coalesce(t.instrument, s.instrument) not in (select k.instrument from kept as k)
)

select rule, is_blocking, broken::bigint, looked_at::bigint, examples
from (
    select
        'high and low bound open and close' as rule,
        true as is_blocking,
        count(*) filter (where b.low > least(b.open, b.close) or b.high < greatest(b.open, b.close)) as broken,
        count(*) as looked_at,
        '{{}}'::text[] as examples
    from of_day as b
    union all
    select
        'bars start on their grid',
        true,
        count(*) filter (where b.bar_start <> date_bin(%(grid)s::interval, b.bar_start, timestamptz '2000-01-01 00:00:00+00')),
        count(*),
        '{{}}'
    from of_day as b
    union all
    select
        'vwap is quote volume over volume, within high and low',
        true,
        count(*) filter (
            where
            b.vwap is distinct from exact_vwap(b.quote_volume, b.volume)
            or b.vwap > b.high + 0.000000000001 or b.vwap < b.low - 0.000000000001
        ),
        count(*),
        '{{}}'
    from of_day as b
    union all
    select
        'taker volume within volume',
        true,
        count(*) filter (where b.taker_buy_volume > b.volume or b.taker_buy_quote_volume > b.quote_volume),
        count(*),
        '{{}}'
    from of_day as b
    union all
    select
        'sums equal what they are made from',
        true,
        (select count(*) from compared),
        (select count(*) from source),
        coalesce((select (array_agg(c.instrument))[1:5] from compared as c), '{{}}')
    union all
    select
        'bars are complete',
        false,
        count(*) filter (where not b.is_complete),
        count(*),
        coalesce((array_agg(distinct b.instrument) filter (where not b.is_complete))[1:5], '{{}}')
    from of_day as b
) as rules;
