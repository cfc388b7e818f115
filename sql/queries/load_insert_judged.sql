-- Stores what was judged new or finer.
insert into raw_trades (
    instrument, space, sequence, event_time, event_time_ns, time_source, price, size, side, conditions, received_at,
    available_at, available_basis, known_at, batch_id
)
select
    j.instrument, j.space, j.sequence, j.event_time, j.event_time_ns, j.time_source, j.price, j.size, j.side, j.conditions, j.received_at,
    j.available_at, j.available_basis, %(known_at)s, %(batch_id)s
from judged as j
where j.verdict in ('new', 'finer')
order by j.instrument, j.sequence;
