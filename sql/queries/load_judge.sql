-- Judges each incoming row against the rows stored from %(from_time)s to %(to_time)s and against what was replaced or cancelled:
-- new, duplicate, finer (the same trade told more precisely), conflict (same identity, other values).
create temporary table judged on commit drop as
with numbered as (
    select
        i.*,
        row_number() over same_trade as copy,
        first_value(i.line) over same_trade as first_line
    from incoming as i
    window same_trade as (partition by i.instrument, i.space, i.sequence order by i.line)
),

stored as (
    select t.*
    from raw_trades as t
    where
        t.instrument = any(%(instruments)s) and t.space = %(space)s
        and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
        and t.sequence between %(lowest_sequence)s and %(highest_sequence)s
),

ended as (
    select
        r.*,
        coalesce(b.time_unit, 'us') as told_unit
    from trade_revisions as r
    left join ingest_batches as b on r.batch_id = b.batch_id
    where
        r.instrument = any(%(instruments)s) and r.space = %(space)s and r.kind <> 'undo'
        and r.sequence between %(lowest_sequence)s and %(highest_sequence)s
),

compared as (
    select
        n.*,
        t.event_time as stored_time,
        t.batch_id as stored_batch,
        t.price as stored_price,
        t.size as stored_size,
        t.side as stored_side,
        t.instrument is not null as is_stored,
        n.price = t.price and n.size = t.size and n.side is not distinct from t.side
        and n.conditions is not distinct from t.conditions as same_values,
        n.event_time = t.event_time and (n.event_time_ns is null or n.event_time_ns is not distinct from t.event_time_ns) as same_time,
        n.event_time = t.event_time and t.event_time_ns is null and n.event_time_ns is not null as adds_nanoseconds,
        coalesce(b.time_unit, 'us') as stored_unit,
        exists (
            select 1 from ended as e
            where
                e.instrument = n.instrument and e.sequence = n.sequence
                and (
                    e.kind = 'cancellation'
                    or (
                        e.price = n.price and e.size = n.size and e.side is not distinct from n.side
                        and floor_time(e.event_time, %(time_unit)s) = floor_time(n.event_time, e.told_unit)
                    )
                )
        ) as was_ended
    from numbered as n
    left join stored as t on n.instrument = t.instrument and n.sequence = t.sequence
    left join ingest_batches as b on t.batch_id = b.batch_id and t.event_time <> n.event_time
)

select
    c.*,
    case
        when c.copy > 1 and not (c.is_stored and c.same_values and c.same_time) then 'again'
        when not c.is_stored then case when c.was_ended then 'duplicate' else 'new' end
        when c.same_values and c.same_time then 'duplicate'
        when c.same_values and c.adds_nanoseconds then 'finer'
        when
            c.same_values and unit_rank(%(time_unit)s) > unit_rank(c.stored_unit)
            and floor_time(c.event_time, c.stored_unit) = c.stored_time
            then 'finer'
        when
            c.same_values and unit_rank(%(time_unit)s) < unit_rank(c.stored_unit)
            and floor_time(c.stored_time, %(time_unit)s) = c.event_time
            then 'duplicate'
        when c.was_ended then 'duplicate'
        else 'conflict'
    end as verdict
from compared as c;
