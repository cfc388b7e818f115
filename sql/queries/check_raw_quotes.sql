-- The rules of quotes alone.
select
    'the bid is below the ask' as rule,
    false as is_blocking,
    count(*) filter (where d.bid_price >= d.ask_price) as broken,
    count(*) as looked_at,
    coalesce(
        (array_agg(format('%%s at %%s', d.instrument, d.event_time)) filter (where d.bid_price >= d.ask_price))[1:5], '{{}}'
    ) as examples
from raw_quotes as d
where d.event_time >= %(from_time)s and d.event_time < %(to_time)s;
