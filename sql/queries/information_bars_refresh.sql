-- Brings one instrument's bars of one kind and day in step with its trades, by the rules given; bars that are right already are
-- not touched. Answers the bars that changed, each with the time that it spans or spanned.
-- A bar ends with the trade that brings the day's running total to or past the next multiple of the threshold, and what it is
-- over counts towards the next. So a trade belongs to the bar whose number is how often the threshold was traded before it.
with stamp as materialized (
    -- After this statement's snapshot: what that shows was known by then.
    select clock_timestamp() as known_at
),

rules as (
    select given.rule, given.threshold
    from unnest(%(rules)s::text[], %(thresholds)s::numeric[]) as given (rule, threshold)
),

-- One snapshot shows the tape and the trades: what it tells of the one is true of the other.
tape as (
    select c.covered + c.accepted as whole from coverage as c
    where c.instrument = %(instrument)s and c.stream = %(stream)s and c.day = %(day)s
),

counted as (
    select
        r.event_time,
        r.sequence,
        r.price,
        r.size,
        r.side,
        {number} as trades_in,
        case %(kind)s::text when 'tick' then {number} when 'volume' then r.size else r.price * r.size end as counts_as
    from {ticks} as r
    where
        r.instrument = %(instrument)s and r.space = %(space)s
        and r.event_time >= %(from_time)s and r.event_time < %(to_time)s
        and (
            r.conditions is null
            or not exists (
                select 1 from trade_conditions as c
                where c.venue = split_part(r.instrument, ':', 1) and c.condition = any(r.conditions) and not c.counts
            )
        )
),

running as (
    select
        t.*,
        sum(t.counts_as) over (order by t.event_time, t.sequence rows unbounded preceding) - t.counts_as as traded_before
    from counted as t
),

placed as (
    select
        t.*,
        rules.rule,
        rules.threshold,
        div(t.traded_before, rules.threshold) as place
    from running as t
    cross join rules
),

summed as (
    select
        p.rule,
        p.threshold,
        p.place,
        min(p.event_time) as bar_start,
        max(p.event_time) as bar_end,
        -- All arrays are filled from one sort; picking the ends of a sorted group needs no second one.
        (array_agg(p.price order by p.event_time, p.sequence))[1] as open,
        max(p.price) as high,
        min(p.price) as low,
        (array_agg(p.price order by p.event_time, p.sequence))[count(*)] as close,
        sum(p.size) as volume,
        sum(p.price * p.size) as quote_volume,
        sum(p.trades_in)::bigint as trade_count,
        coalesce(sum(p.size) filter (where p.side = 'buy'), 0) as taker_buy_volume,
        coalesce(sum(p.price * p.size) filter (where p.side = 'buy'), 0) as taker_buy_quote_volume,
        (array_agg(p.sequence order by p.event_time, p.sequence))[1] as first_sequence,
        (array_agg(p.sequence order by p.event_time, p.sequence))[count(*)] as last_sequence,
        max(p.traded_before + p.counts_as) >= (p.place + 1) * p.threshold as is_full
    from placed as p
    group by p.rule, p.threshold, p.place
),

fresh as (
    select
        s.rule,
        s.place::bigint as bar_index,
        s.bar_start,
        s.bar_end,
        trim_scale(s.threshold) as threshold,
        trim_scale(s.open) as open,
        trim_scale(s.high) as high,
        trim_scale(s.low) as low,
        trim_scale(s.close) as close,
        trim_scale(s.volume) as volume,
        trim_scale(s.quote_volume) as quote_volume,
        exact_vwap(s.quote_volume, s.volume) as vwap,
        s.trade_count,
        trim_scale(s.taker_buy_volume) as taker_buy_volume,
        trim_scale(s.taker_buy_quote_volume) as taker_buy_quote_volume,
        s.first_sequence,
        s.last_sequence,
        s.is_full,
        -- A hole anywhere before moves every cut after it, and a short bar may have trades to come until midnight.
        coalesce(
            (select tape.whole from tape)
            @> case
                when s.is_full then tstzrange(%(from_time)s, s.bar_end, '[]') else tstzrange(%(from_time)s, %(to_time)s)
            end,
            false
        ) as is_complete
    from summed as s
),

stored as (
    select b.* from {target} as b
    where b.instrument = %(instrument)s and b.day = %(day)s
),

changed as (
    select
        f.*,
        s.rule as stored_rule,
        s.bar_index as stored_index,
        least(f.bar_start, s.bar_start) as from_time,
        greatest(f.bar_end, s.bar_end) as through_time
    from fresh as f
    full outer join stored as s on f.rule = s.rule and f.bar_index = s.bar_index
    where
        (
            f.rule, f.bar_start, f.bar_end, f.threshold, f.open, f.high, f.low, f.close, f.volume, f.quote_volume, f.vwap,
            f.trade_count, f.taker_buy_volume, f.taker_buy_quote_volume, f.first_sequence, f.last_sequence, f.is_full, f.is_complete
        ) is distinct from (
            s.rule, s.bar_start, s.bar_end, s.threshold, s.open, s.high, s.low, s.close, s.volume, s.quote_volume, s.vwap,
            s.trade_count, s.taker_buy_volume, s.taker_buy_quote_volume, s.first_sequence, s.last_sequence, s.is_full, s.is_complete
        )
),

gone as (
    delete from {target} as b
    using changed as c
    where
        b.instrument = %(instrument)s and b.day = %(day)s and b.rule = c.stored_rule and b.bar_index = c.stored_index
        and c.rule is null
),

written as (
    insert into {target} (
        instrument, day, rule, bar_index, bar_start, bar_end, threshold, open, high, low, close, volume, quote_volume, vwap,
        trade_count, taker_buy_volume, taker_buy_quote_volume, first_sequence, last_sequence, is_full, is_complete, known_at
    )
    select
        %(instrument)s, %(day)s, c.rule, c.bar_index, c.bar_start, c.bar_end, c.threshold, c.open, c.high, c.low, c.close,
        c.volume, c.quote_volume, c.vwap, c.trade_count, c.taker_buy_volume, c.taker_buy_quote_volume,
        c.first_sequence, c.last_sequence, c.is_full, c.is_complete, (select stamp.known_at from stamp)
    from changed as c
    where c.rule is not null
    on conflict (instrument, day, rule, bar_index) do update
        set
            bar_start = excluded.bar_start, bar_end = excluded.bar_end, threshold = excluded.threshold, open = excluded.open,
            high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
            quote_volume = excluded.quote_volume, vwap = excluded.vwap, trade_count = excluded.trade_count,
            taker_buy_volume = excluded.taker_buy_volume, taker_buy_quote_volume = excluded.taker_buy_quote_volume,
            first_sequence = excluded.first_sequence, last_sequence = excluded.last_sequence, is_full = excluded.is_full,
            is_complete = excluded.is_complete, known_at = excluded.known_at
)

select c.from_time, c.through_time from changed as c;
