-- Compares one instrument's bars of one interval and day with the venue's, over all fields that the venue gives, and writes
-- the verdicts that changed. A day without venue bars has no rows.
with ours as (
    select b.*, lag(b.close) over (order by b.bar_start) as close_before
    from {bars} as b
    where b.instrument = %(instrument)s and b.bar_start >= %(look_back)s and b.bar_start < %(to_time)s
),

theirs as (
    select v.* from venue_bars as v
    where v.instrument = %(instrument)s and v.interval = %(interval)s and v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s
),

spans as (
    select
        coalesce((
            select c.covered + c.accepted from coverage as c
            where c.instrument = %(instrument)s and c.stream = 'trades' and c.day = %(day)s
        ), '{{}}'::tstzmultirange) as our_span,
        coalesce((
            select c.covered from coverage as c
            where c.instrument = %(instrument)s and c.stream = 'venue_bars_' || %(interval)s and c.day = %(day)s
        ), '{{}}'::tstzmultirange) as their_span
),

paired as (
    select
        coalesce(o.bar_start, t.bar_start) as bar_start,
        o.instrument is not null as has_ours,
        t.instrument is not null as has_theirs,
        coalesce(s.our_span @> tstzrange(coalesce(o.bar_start, t.bar_start), coalesce(o.bar_start, t.bar_start) + %(grid)s::interval), false) as we_span,
        coalesce(s.their_span @> tstzrange(coalesce(o.bar_start, t.bar_start), coalesce(o.bar_start, t.bar_start) + %(grid)s::interval), false) as they_span,
        t.is_closed,
        o.close_before,
        max(scale(t.vwap)) over () as vwap_scale,
        o.open, o.high, o.low, o.close, o.volume, o.quote_volume, o.vwap, o.trade_count, o.taker_buy_volume, o.taker_buy_quote_volume,
        t.open as their_open, t.high as their_high, t.low as their_low, t.close as their_close, t.volume as their_volume,
        t.quote_volume as their_quote_volume, t.vwap as their_vwap, t.trade_count as their_trade_count,
        t.taker_buy_volume as their_taker_buy_volume, t.taker_buy_quote_volume as their_taker_buy_quote_volume
    from (select * from ours where bar_start >= %(from_time)s) as o
    full outer join theirs as t on o.bar_start = t.bar_start
    cross join spans as s
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
            when not d.has_ours and d.their_volume = 0 then 'explained: the venue lists bars without trades'
            when
                %(venue)s = 'kraken' and d.fields = array['vwap']
                and trunc(d.vwap, d.vwap_scale) = d.their_vwap
                then 'explained: the venue cuts vwap off'
            when
                %(venue)s = 'gemini' and d.fields <@ array['open', 'high', 'low'] and d.their_open = d.close_before
                and d.their_high = greatest(d.high, d.close_before) and d.their_low = least(d.low, d.close_before)
                then 'explained: the venue opens a bar at the close before'
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
            'open', trim_scale(j.open)::text, 'high', trim_scale(j.high)::text, 'low', trim_scale(j.low)::text, 'close', trim_scale(j.close)::text,
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
select %(instrument)s, %(interval)s, v.bar_start, v.status, v.rule, v.fields, v.our_values, v.their_values, %(known_at)s
from verdicts as v
on conflict (instrument, interval, bar_start) do update
set
    status = excluded.status, rule = excluded.rule, fields = excluded.fields, ours = excluded.ours, theirs = excluded.theirs,
    known_at = excluded.known_at
where
    (bar_conformance.status, bar_conformance.rule, bar_conformance.fields, bar_conformance.ours, bar_conformance.theirs)
    is distinct from (excluded.status, excluded.rule, excluded.fields, excluded.ours, excluded.theirs);
