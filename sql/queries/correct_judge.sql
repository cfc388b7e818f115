-- Judges corrections of different trades against the trades that stand on the day, and against what ended before. What the same file
-- did to a trade before, by a batch that stands, is known: given again it would flip back what was corrected since.
create temporary table corrected on commit drop as
with asked as (
    select c.*
    from
        unnest(
            %(line)s::bigint[], %(instrument)s::text[], %(sequence)s::bigint[], %(action)s::text[], %(price)s::numeric[],
            %(size)s::numeric[], %(side)s::text[], %(new_event_time)s::timestamptz[], %(reason)s::text[]
        ) as c (line, instrument, sequence, action, price, size, side, new_event_time, reason)
),

given_before as (
    select b.batch_id
    from ingest_batches as b
    where
        b.file_id = %(file_id)s and b.undoes_batch_id is null
        and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = b.batch_id)
),

told_before as (
    select
        r.instrument,
        r.sequence,
        r.price,
        r.size,
        r.side,
        r.event_time
    from trade_revisions as r
    where
        r.batch_id in (select g.batch_id from given_before as g) and r.sequence = any(%(sequence)s)
        and r.event_time >= %(from_time)s and r.event_time < %(to_time)s
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
        e.ended_by_batch_id,
        case a.action
            when 'cancel' then e.ended_by_batch_id in (select g.batch_id from given_before as g)
            else exists (
                select 1 from told_before as o
                where
                    o.instrument = a.instrument and o.sequence = a.sequence
                    and coalesce(a.price, o.price) = o.price and coalesce(a.size, o.size) = o.size
                    and coalesce(a.side, o.side) is not distinct from o.side and coalesce(a.new_event_time, o.event_time) = o.event_time
            )
        end as is_given_again
    from asked as a
    left join instruments as i on a.instrument = i.instrument and i.valid_to is null
    left join raw_trades as t
        on a.instrument = t.instrument and a.sequence = t.sequence and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    left join lateral (
        select r.ended_by_batch_id
        from trade_revisions as r
        where
            r.instrument = a.instrument and r.sequence = a.sequence and r.kind = 'cancellation'
            and r.event_time >= %(from_time)s and r.event_time < %(to_time)s
            and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = r.ended_by_batch_id)
        order by r.revision_id desc
        limit 1
    ) as e on true
)

select
    m.*,
    case
        when m.is_given_again then 'duplicate'
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
