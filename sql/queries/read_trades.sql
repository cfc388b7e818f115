-- The trades of one instrument in their order, as the contract has them.
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
from raw_trades
where {is_here} and instrument = %(instrument)s and event_time >= %(since)s and event_time < %(until)s
order by event_time, sequence;
