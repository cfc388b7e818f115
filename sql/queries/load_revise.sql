-- Moves the coarser row of each finer newcomer to the revisions, with the interval in which it was believed.
with replaced as (
    delete from raw_trades as t
    using judged as j
    where
        j.verdict = 'finer'
        and t.instrument = j.instrument and t.space = j.space and t.sequence = j.sequence and t.event_time = j.stored_time
    returning t.*
)

insert into trade_revisions (
    instrument, space, sequence, event_time, event_time_ns, time_source, price, size, side, conditions, received_at,
    available_at, available_basis, known_at, batch_id, kind, believed_until, ended_by_batch_id
)
select
    r.instrument, r.space, r.sequence, r.event_time, r.event_time_ns, r.time_source, r.price, r.size, r.side, r.conditions, r.received_at,
    r.available_at, r.available_basis, r.known_at, r.batch_id, 'finer_time', %(known_at)s, %(batch_id)s
from replaced as r;
