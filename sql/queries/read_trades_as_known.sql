-- The trades of one instrument in their order, as the contract has them, as a reader would have got them at a time.
select
    instrument,
    space,
    sequence,
    event_time,
    event_time_ns,
    time_source,
    price,
    size,
    side,
    to_json(conditions) as conditions,
    received_at,
    available_at,
    available_basis,
    known_at,
    batch_id
from trades_as_known(%(instrument)s, %(since)s, %(until)s, %(as_known_at)s)
where {is_here}
order by event_time, sequence;
