-- The second and later copies of a trade within one file: the same values are a duplicate, others a conflict with the first.
update judged as later
set
    verdict = case
        when
            later.price = first.price and later.size = first.size and later.event_time = first.event_time
            and later.side is not distinct from first.side and later.conditions is not distinct from first.conditions
            then 'duplicate'
        else 'conflict'
    end,
    stored_time = first.event_time, stored_price = first.price, stored_size = first.size, stored_side = first.side
from judged as first
where
    later.verdict = 'again'
    and first.copy = 1 and first.instrument = later.instrument and first.sequence = later.sequence;
