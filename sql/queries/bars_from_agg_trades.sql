-- Computes the 1-minute bars of one instrument inside some windows from its aggregated trades: exact, ordered by (event_time, sequence).
-- Completeness is told in the same statement: what one snapshot shows of the tape is true of the trades that it shows.
insert into fresh_bars (
    instrument, bar_start, open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume,
    first_sequence, last_sequence, is_complete
)
with tape as (
    select c.covered + c.accepted as whole from coverage as c
    where c.instrument = %(instrument)s and c.stream = 'agg_trades' and c.day = %(day)s
)

select
    t.instrument,
    t.bar_start,
    -- Both arrays are filled from one sort; picking the ends of a sorted group needs no second one.
    (array_agg(t.price order by t.event_time, t.sequence))[1],
    max(t.price),
    min(t.price),
    (array_agg(t.price order by t.event_time, t.sequence))[count(*)],
    trim_scale(sum(t.size)),
    trim_scale(sum(t.price * t.size)),
    sum(t.last_trade_id - t.first_trade_id + 1)::bigint,
    trim_scale(coalesce(sum(t.size) filter (where t.side = 'buy'), 0)),
    trim_scale(coalesce(sum(t.price * t.size) filter (where t.side = 'buy'), 0)),
    (array_agg(t.sequence order by t.event_time, t.sequence))[1],
    (array_agg(t.sequence order by t.event_time, t.sequence))[count(*)],
    coalesce((select tape.whole from tape) @> tstzrange(t.bar_start, t.bar_start + interval '1 minute'), false)
from (
    select
        r.*,
        date_bin('1 minute', r.event_time, timestamptz '2000-01-01 00:00:00+00') as bar_start
    from raw_agg_trades as r
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
) as t
group by t.instrument, t.bar_start;
