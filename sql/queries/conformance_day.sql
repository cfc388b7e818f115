-- Compares one instrument's bars of one interval and day with the venue's, over all fields that the venue gives, and writes
-- the verdicts that changed. A day without venue bars has no rows.
with stamp as materialized (
    -- After this statement's snapshot: what that shows was known by then.
    select clock_timestamp() as known_at
),

ours as (
    select
        b.*,
        lag(b.close) over by_time as close_before,
        lag(b.bar_start) over by_time as start_before
    from {bars} as b
    where b.instrument = %(instrument)s and b.bar_start >= %(look_back)s and b.bar_start < %(to_time)s
    window by_time as (order by b.bar_start)
),

theirs as (
    select v.* from venue_bars as v
    where v.instrument = %(instrument)s and v.interval = %(interval)s and v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s
),

-- Where trades changed and our bars do not show it yet, the tape does not speak for them.
waiting as materialized (
    select range_agg(changed.windows) as windows
    from unnest(array[%(day)s::date - 1, %(day)s::date]) as looked_at (day)
    left join invalidations_applied as a
        on a.consumer = %(consumer)s and a.relation = 'raw_' || %(stream)s and a.instrument = %(instrument)s and looked_at.day = a.day
    cross join
        lateral (
            -- Each window of the grid once: a storm of changes is no more than the windows of a day.
            select range_agg(tstzrange(touched.window_start, touched.window_end)) as windows
            from (
                select distinct
                    date_bin(%(grid)s::interval, l.from_time, timestamptz '2000-01-01 00:00:00+00') as window_start,
                    date_bin(%(grid)s::interval, l.to_time - interval '1 microsecond', timestamptz '2000-01-01 00:00:00+00')
                    + %(grid)s::interval as window_end
                from invalidation_log as l
                where
                    l.relation = 'raw_' || %(stream)s and l.instrument = %(instrument)s and l.day = looked_at.day
                    and l.invalidation_id > coalesce(a.applied_through, 0)
            ) as touched
        ) as changed
),

spans as materialized (
    select
        coalesce((
            select range_agg(c.covered + c.accepted) from coverage as c
            where c.instrument = %(instrument)s and c.stream = %(stream)s and c.day between %(day)s::date - 1 and %(day)s
        ), '{{}}'::tstzmultirange) - coalesce(w.windows, '{{}}'::tstzmultirange) as our_span,
        coalesce((
            select c.covered from coverage as c
            where c.instrument = %(instrument)s and c.stream = 'venue_bars_' || %(interval)s and c.day = %(day)s
        ), '{{}}'::tstzmultirange) as their_span
    from waiting as w
),

-- A venue cuts vwap off at a number of decimals of its own; it shows in the whole day, not in one number that may end in zeros.
decimals as materialized (
    select max(greatest(scale(v.open), scale(v.high), scale(v.low), scale(v.close), scale(v.vwap))) as vwap_scale
    from venue_bars as v
    where
        %(venue)s = 'kraken' and v.instrument = %(instrument)s and v.interval in ('1m', '5m', '1h', '1d')
        and v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s
),

paired as (
    select
        coalesce(o.bar_start, t.bar_start) as bar_start,
        o.instrument is not null as has_ours,
        t.instrument is not null as has_theirs,
        coalesce(o.is_complete, true)
        and s.our_span @> tstzrange(coalesce(o.bar_start, t.bar_start), coalesce(o.bar_start, t.bar_start) + %(grid)s::interval) as we_span,
        s.their_span @> tstzrange(coalesce(o.bar_start, t.bar_start), coalesce(o.bar_start, t.bar_start) + %(grid)s::interval) as they_span,
        coalesce(s.our_span @> tstzrange(o.start_before, o.bar_start), false) as we_reach_back,
        t.is_closed,
        o.close_before,
        d.vwap_scale,
        o.open, o.high, o.low, o.close, o.volume, o.quote_volume, o.vwap, o.trade_count, o.taker_buy_volume, o.taker_buy_quote_volume,
        t.open as their_open, t.high as their_high, t.low as their_low, t.close as their_close, t.volume as their_volume,
        t.quote_volume as their_quote_volume, t.vwap as their_vwap, t.trade_count as their_trade_count,
        t.taker_buy_volume as their_taker_buy_volume, t.taker_buy_quote_volume as their_taker_buy_quote_volume
    from (select * from ours where bar_start >= %(from_time)s) as o
    full outer join theirs as t on o.bar_start = t.bar_start
    cross join spans as s
    cross join decimals as d
),

differing as (
    select
        p.*,
        case when p.has_ours and p.has_theirs then array_remove(array[
            case when p.open <> p.their_open then 'open' end,
            case when p.high <> p.their_high then 'high' end,
            case when p.low <> p.their_low then 'low' end,
            case when p.close <> p.their_close then 'close' end,
            case when p.volume <> p.their_volume then 'volume' end,
            case when p.quote_volume <> p.their_quote_volume then 'quote_volume' end,
            case when p.vwap <> p.their_vwap then 'vwap' end,
            case when p.trade_count <> p.their_trade_count then 'trade_count' end,
            case when p.taker_buy_volume <> p.their_taker_buy_volume then 'taker_buy_volume' end,
            case when p.taker_buy_quote_volume <> p.their_taker_buy_quote_volume then 'taker_buy_quote_volume' end
        ], null) end as fields
    from paired as p
),

judged as (
    select
        d.*,
        case
            when d.has_ours and d.has_theirs and cardinality(d.fields) = 0 then 'equal'
            when d.has_theirs and not d.is_closed then 'uncovered: the venue''s bar was captured before it closed'
            when not d.we_span then 'uncovered: our tape does not span the bar'
            when not d.they_span and not d.has_theirs then 'uncovered: the venue''s bars do not span it'
            when not d.has_ours and d.their_volume = 0 and coalesce(d.their_trade_count, 0) = 0
                then 'explained: the venue lists bars without trades'
            when
                %(venue)s = 'kraken' and d.fields = array['vwap']
                -- From the sums: our vwap is rounded, and cutting that off could give another digit.
                and div(d.quote_volume * power(10::numeric, d.vwap_scale), d.volume) = d.their_vwap * power(10::numeric, d.vwap_scale)
                then 'explained: the venue cuts vwap off'
            when
                %(venue)s = 'gemini' and d.fields <@ array['open', 'high', 'low']
                and d.their_high = greatest(d.high, d.their_open) and d.their_low = least(d.low, d.their_open)
                then case
                    when d.their_open = d.close_before then 'explained: the venue opens a bar at the close before'
                    when not d.we_reach_back then 'uncovered: our tape does not reach back to the close before'
                    else 'unexplained'
                end
            else 'unexplained'
        end as verdict
    from differing as d
),

verdicts as (
    select
        j.bar_start,
        split_part(j.verdict, ': ', 1) as status,
        nullif(split_part(j.verdict, ': ', 2), '') as rule,
        case when j.verdict <> 'equal' then j.fields end as fields,
        case when j.verdict <> 'equal' and j.has_ours then jsonb_strip_nulls(jsonb_build_object(
            'open', trim_scale(j.open)::text, 'high', trim_scale(j.high)::text, 'low', trim_scale(j.low)::text,
            'close', trim_scale(j.close)::text,
            'volume', trim_scale(j.volume)::text, 'quote_volume', trim_scale(j.quote_volume)::text, 'vwap', trim_scale(j.vwap)::text,
            'trade_count', j.trade_count::text, 'taker_buy_volume', trim_scale(j.taker_buy_volume)::text,
            'taker_buy_quote_volume', trim_scale(j.taker_buy_quote_volume)::text
        )) end as our_values,
        case when j.verdict <> 'equal' and j.has_theirs then jsonb_strip_nulls(jsonb_build_object(
            'open', trim_scale(j.their_open)::text, 'high', trim_scale(j.their_high)::text, 'low', trim_scale(j.their_low)::text,
            'close', trim_scale(j.their_close)::text, 'volume', trim_scale(j.their_volume)::text,
            'quote_volume', trim_scale(j.their_quote_volume)::text, 'vwap', trim_scale(j.their_vwap)::text,
            'trade_count', j.their_trade_count::text, 'taker_buy_volume', trim_scale(j.their_taker_buy_volume)::text,
            'taker_buy_quote_volume', trim_scale(j.their_taker_buy_quote_volume)::text
        )) end as their_values
    from judged as j
    where exists (select 1 from theirs)
),

gone as (
    delete from bar_conformance as c
    where
        c.instrument = %(instrument)s and c.interval = %(interval)s and c.bar_start >= %(from_time)s and c.bar_start < %(to_time)s
        and not exists (select 1 from verdicts as v where v.bar_start = c.bar_start)
)

insert into bar_conformance (instrument, interval, bar_start, status, rule, fields, ours, theirs, known_at)
select
    %(instrument)s, %(interval)s, v.bar_start, v.status, v.rule, v.fields, v.our_values, v.their_values, (select stamp.known_at from stamp)
from verdicts as v
on conflict (instrument, interval, bar_start) do update
    set
        status = excluded.status, rule = excluded.rule, fields = excluded.fields, ours = excluded.ours, theirs = excluded.theirs,
        known_at = excluded.known_at
    where
    (bar_conformance.status, bar_conformance.rule, bar_conformance.fields, bar_conformance.ours, bar_conformance.theirs)
    is distinct from (excluded.status, excluded.rule, excluded.fields, excluded.ours, excluded.theirs);
