-- The rules of a day of our bars of one kind, held against the trades of the day that count: those of the stream that each
-- instrument's bars are made from. A day whose trades were dropped is held against nothing.
with sources as (
    select
        c.instrument,
        c.stream,
        c.space
    from coverage as c
    left join bar_sources as s on c.instrument = s.instrument
    where
        c.day = %(day)s and c.stream = coalesce(s.stream, 'trades') and not c.is_dropped
        -- Of an instrument that no rule holds for the trades need not be looked at, unless it has bars all the same.
        and (
            c.instrument = any(%(instruments)s)
            or exists (select 1 from {bars} as b where b.instrument = c.instrument and b.day = %(day)s)
        )
),

ticks as (
    select
        s.instrument,
        t.event_time,
        t.sequence,
        t.price,
        t.size,
        t.conditions,
        1 as trades_in
    from sources as s
    inner join raw_trades as t on s.instrument = t.instrument and s.space = t.space
    where s.stream = 'trades' and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    union all
    select
        s.instrument,
        a.event_time,
        a.sequence,
        a.price,
        a.size,
        a.conditions,
        a.last_trade_id - a.first_trade_id + 1
    from sources as s
    inner join raw_agg_trades as a on s.instrument = a.instrument and s.space = a.space
    where s.stream = 'agg_trades' and a.event_time >= %(from_time)s and a.event_time < %(to_time)s
),

of_day as (
    select
        b.*,
        case %(kind)s::text when 'tick' then b.trade_count when 'volume' then b.volume else b.quote_volume end as counts_as
    from {bars} as b
    where b.day = %(day)s
),

-- The trades that ended bars.
ended_by as (
    select
        t.instrument,
        t.event_time,
        t.sequence,
        t.price,
        case %(kind)s::text when 'tick' then t.trades_in when 'volume' then t.size else t.price * t.size end as counts_as
    from ticks as t
    where exists (select 1 from of_day as b where b.instrument = t.instrument and b.bar_end = t.event_time and b.last_sequence = t.sequence)
),

ordered as (
    select
        b.*,
        sum(b.counts_as) over (by_number rows unbounded preceding) as traded,
        lag(b.bar_end) over by_number as end_before,
        lag(b.last_sequence) over by_number as sequence_before,
        lead(b.bar_index) over by_number is null as is_last,
        e.counts_as as last_counts_as
    from of_day as b
    inner join sources as c on b.instrument = c.instrument
    left join ended_by as e
        on b.instrument = e.instrument and b.last_sequence = e.sequence and b.bar_end = e.event_time and b.close = e.price
    window by_number as (partition by b.instrument, b.rule order by b.bar_index)
),

totals as (
    select
        o.instrument,
        o.rule,
        sum(o.trade_count) as trade_count,
        trim_scale(sum(o.volume)) as volume,
        trim_scale(sum(o.quote_volume)) as quote_volume,
        max(o.high) as high,
        min(o.low) as low
    from ordered as o
    group by o.instrument, o.rule
),

traded as (
    select
        t.instrument,
        sum(t.trades_in) as trade_count,
        trim_scale(sum(t.size)) as volume,
        trim_scale(sum(t.price * t.size)) as quote_volume,
        max(t.price) as high,
        min(t.price) as low
    from ticks as t
    where
        t.conditions is null
        or not exists (
            select 1 from trade_conditions as c
            where c.venue = split_part(t.instrument, ':', 1) and c.condition = any(t.conditions) and not c.counts
        )
    group by t.instrument
),

source as (
    select
        t.*,
        holding.rule
    from traded as t
    inner join
        (select h.* from unnest(%(instruments)s::text[], %(rules)s::text[]) as h (instrument, rule)) as holding
        on t.instrument = holding.instrument
),

compared as (
    select coalesce(t.instrument, s.instrument) || ' ' || coalesce(t.rule, s.rule) as place
    from totals as t
    full outer join source as s on t.instrument = s.instrument and t.rule = s.rule
    where
        (t.trade_count, t.volume, t.quote_volume, t.high, t.low) is distinct from (s.trade_count, s.volume, s.quote_volume, s.high, s.low)
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
        'sums equal the trades that count',
        true,
        (select count(*) from compared),
        (select count(*) from source),
        coalesce((select (array_agg(c.place order by c.place))[1:5] from compared as c), '{{}}')
    union all
    select
        'bars follow one another',
        true,
        count(*) filter (where (o.end_before, o.sequence_before) >= (o.bar_start, o.first_sequence)),
        count(*),
        coalesce((array_agg(distinct o.instrument || ' ' || o.rule) filter (
            where (o.end_before, o.sequence_before) >= (o.bar_start, o.first_sequence)
        ))[1:5], '{{}}')
    from ordered as o
    union all
    select
        'bars are numbered by what was traded before them',
        true,
        count(*) filter (where o.bar_index <> div(o.traded - o.counts_as, o.threshold)),
        count(*),
        coalesce((array_agg(distinct o.instrument || ' ' || o.rule) filter (
            where o.bar_index <> div(o.traded - o.counts_as, o.threshold)
        ))[1:5], '{{}}')
    from ordered as o
    union all
    select
        'a full bar ends with the trade that reaches its threshold',
        true,
        count(*) filter (where not reached.is_kept),
        count(*),
        coalesce((array_agg(distinct o.instrument || ' ' || o.rule) filter (where not reached.is_kept))[1:5], '{{}}')
    from ordered as o
    cross join
        lateral (
            select
                o.last_counts_as is not null
                and o.is_full = (o.traded >= (o.bar_index + 1) * o.threshold)
                and o.traded - o.last_counts_as < (o.bar_index + 1) * o.threshold
                and (o.is_full or o.is_last) as is_kept
        ) as reached
    union all
    select
        'bars are complete',
        false,
        count(*) filter (where not b.is_complete),
        count(*),
        coalesce((array_agg(distinct b.instrument) filter (where not b.is_complete))[1:5], '{{}}')
    from of_day as b
) as rules;
