-- The changes and snapshots of one instrument's book in their order, as the contract has them.
select
    instrument,
    space,
    sequence,
    event_time,
    event_time_ns,
    time_source,
    message,
    first_update_id,
    last_update_id,
    bids,
    asks,
    received_at,
    available_at,
    available_basis,
    known_at,
    batch_id
from raw_depth
where {is_here} and instrument = %(instrument)s and event_time >= %(since)s and event_time < %(until)s
order by event_time, sequence;
