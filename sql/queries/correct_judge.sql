-- Judges corrections of different trades against the trades that stand on the day, and against what ended before.
create temporary table corrected on commit drop as
with asked as (
    select c.*
    from
        unnest(
            %(line)s::bigint[], %(instrument)s::text[], %(sequence)s::bigint[], %(action)s::text[], %(price)s::numeric[],
            %(size)s::numeric[], %(side)s::text[], %(new_event_time)s::timestamptz[], %(reason)s::text[]
        ) as c (line, instrument, sequence, action, price, size, side, new_event_time, reason)
),

matched as (
    select
        a.line,
        a.instrument,
        a.sequence,
        a.action,
        a.reason,
        t.space,
        t.event_time,
        coalesce(a.price, t.price) as price,
        coalesce(a.size, t.size) as size,
        coalesce(a.side, t.side) as side,
        coalesce(a.new_event_time, t.event_time) as new_event_time,
        t.instrument is not null as is_stored,
        (
            coalesce(a.price, t.price) = t.price and coalesce(a.size, t.size) = t.size
            and coalesce(a.side, t.side) is not distinct from t.side and coalesce(a.new_event_time, t.event_time) = t.event_time
        ) as is_same,
        scale(trim_scale(a.price)) > i.price_scale or scale(trim_scale(a.size)) > i.size_scale as is_over_scale,
        i.price_scale,
        i.size_scale,
        e.ended_by_batch_id
    from asked as a
    left join instruments as i on a.instrument = i.instrument and i.valid_to is null
    left join raw_trades as t
        on a.instrument = t.instrument and a.sequence = t.sequence and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    left join lateral (
        select r.ended_by_batch_id
        from trade_revisions as r
        where
            r.instrument = a.instrument and r.sequence = a.sequence and r.kind = 'cancellation'
            and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = r.ended_by_batch_id)
        order by r.revision_id desc
        limit 1
    ) as e on true
)

select
    m.*,
    case
        when m.is_stored and m.action = 'cancel' then 'apply'
        when m.is_stored and m.is_same then 'duplicate'
        when m.is_stored and m.is_over_scale then 'scale'
        when m.is_stored and (m.new_event_time < %(from_time)s or m.new_event_time >= %(to_time)s) then 'time'
        when m.is_stored then 'apply'
        when m.ended_by_batch_id is not null and m.action = 'cancel' then 'duplicate'
        when m.ended_by_batch_id is not null then 'conflict'
        else 'unknown_trade'
    end as verdict
from matched as m;
