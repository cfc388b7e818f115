-- Ends each trade that is cancelled or replaced, keeps what was believed of it, and stores what replaces it. What is corrected can
-- be used from the correction on, no earlier. Answers where trades changed.
with ended as (
    delete from {table} as t
    using corrected as c
    where
        c.verdict = 'apply'
        and t.instrument = c.instrument and t.space = c.space and t.sequence = c.sequence and t.event_time = c.event_time
    returning
        t.*,
        c.action as correction_action, c.reason as correction_reason, c.price as new_price, c.size as new_size, c.side as new_side,
        c.new_event_time
),

kept as (
    insert into {revisions} ({columns}, known_at, batch_id, kind, believed_until, ended_by_batch_id, reason)
    select
        {columns},
        known_at,
        batch_id,
        case correction_action when 'cancel' then 'cancellation' else 'correction' end,
        %(known_at)s,
        %(batch_id)s,
        correction_reason
    from ended
),

stored as (
    insert into {table} (
        instrument, space, sequence, event_time, event_time_ns, time_source, price, size, side, conditions, received_at,
        available_at, available_basis, known_at, batch_id
    )
    select
        r.instrument, r.space, r.sequence, r.new_event_time,
        case when r.new_event_time = r.event_time then r.event_time_ns end,
        r.time_source, r.new_price, r.new_size, r.new_side, r.conditions, r.received_at,
        greatest(r.available_at, r.new_event_time, %(known_at)s), 'observed', %(known_at)s, %(batch_id)s
    from ended as r
    where r.correction_action = 'replace'
)

select
    r.instrument,
    least(r.event_time, r.new_event_time) as from_time,
    greatest(r.event_time, r.new_event_time) + interval '1 microsecond' as to_time
from ended as r;
