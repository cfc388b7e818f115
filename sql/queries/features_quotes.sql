-- The best bids and asks of one instrument, in order, with what features are made of.
select
    q.event_time,
    q.available_at,
    q.available_basis = 'observed' as is_observed,
    q.bid_price,
    q.bid_size,
    q.ask_price,
    q.ask_size
from raw_quotes as q
where q.instrument = %(instrument)s and q.event_time >= %(from_time)s and q.event_time < %(to_time)s
order by q.event_time, q.sequence;
